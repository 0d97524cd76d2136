#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::string_view_literals;

EDDY_TEST("make_pipe: bytes go through in order, and a closed writer is the end") {
    pipe_pair ends = make_pipe();
    co_await ends.writer.write("hello"sv);
    std::array<std::byte, 3> buffer;
    const std::size_t first = co_await ends.reader.read_some(buffer);
    CHECK(first == 3);
    const std::size_t second = co_await ends.reader.read_some(buffer);
    CHECK(second == 2);
    co_await ends.writer.close();
    const std::size_t end = co_await ends.reader.read_some(buffer);
    CHECK(end == 0);
    const std::size_t again = co_await ends.reader.read_some(buffer);
    CHECK(again == 0);
}

EDDY_TEST("make_pipe: a write waits for the reader, and is not torn by others") {
    pipe_pair ends = make_pipe();
    const std::string a(300'000, 'a');
    const std::string b(300'000, 'b');
    auto first = spawn([&]() -> task<> { co_await ends.writer.write(a); });
    auto second = spawn([&]() -> task<> { co_await ends.writer.write(b); });
    co_await testing::settle();
    CHECK_FALSE(first.done());
    buffered_reader r{ends.reader};
    const std::string got = co_await r.read_exactly(600'000);
    CHECK((got == a + b || got == b + a));
    co_await first;
    co_await second;
}

EDDY_TEST("a pipe without a reader: writing is an error that names it, and no signal") {
    pipe_pair ends = make_pipe();
    co_await ends.reader.close();
    std::string text;
    try {
        co_await ends.writer.write("x"sv);
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::broken_pipe);
        text = e.what();
    }
    CHECK(text.find("write to pipe") != std::string::npos);
}

EDDY_TEST("pipes: one reader at a time; a close wakes who waits") {
    pipe_pair ends = make_pipe();
    std::array<std::byte, 8> buffer;
    std::string ending;
    auto reading = spawn([&]() -> task<> {
        std::array<std::byte, 8> mine;
        try {
            co_await ends.reader.read_some(mine);
        } catch (const closed_resource& e) {
            ending = e.what();
        }
    });
    co_await testing::settle();
    bool busy = false;
    try {
        co_await ends.reader.read_some(buffer);
    } catch (const busy_resource&) {
        busy = true;
    }
    CHECK(busy);
    co_await ends.reader.close();
    co_await reading;
    CHECK(ending.find("closed on our side") != std::string::npos);
    CHECK_FALSE(ends.reader.is_open());
    CHECK(ends.reader.native_handle() == -1);
    bool refused = false;
    try {
        co_await ends.reader.read_some(buffer);
    } catch (const closed_resource&) {
        refused = true;
    }
    CHECK(refused);
}

EDDY_TEST("pipes: descriptors are close-on-exec; an adopted one becomes so") {
    pipe_pair ends = make_pipe();
    CHECK((::fcntl(ends.reader.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(ends.writer.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    std::array<int, 2> raw{};
    REQUIRE(::pipe(raw.data()) == 0);
    readable_pipe r(raw[0], "my pipe");
    CHECK((::fcntl(r.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    REQUIRE(::write(raw[1], "x", 1) == 1);
    std::array<std::byte, 8> buffer;
    const std::size_t n = co_await r.read_some(buffer);
    CHECK(n == 1);
    const int fd = r.release();
    CHECK(fd == raw[0]);
    CHECK_FALSE(r.is_open());
    ::close(raw[0]);
    ::close(raw[1]);
    CHECK_THROWS_AS(readable_pipe(raw[0]), std::system_error);
}

EDDY_TEST("pipes: one that has no descriptor says so") {
    writable_pipe w;
    readable_pipe r;
    std::string text;
    try {
        co_await w.write("x"sv);
    } catch (const closed_resource& e) {
        text = e.what();
    }
    CHECK(text == "this writable_pipe has no descriptor");
    CHECK_FALSE(r.is_open());
    co_await r.close();
}
