#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <array>
#include <string>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

class pipe_ends {
public:
    pipe_ends() {
        int fds[2];
        if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("no pipe");
        out = fds[0];
        in = fds[1];
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        ::close(out);
        if (in >= 0) ::close(in);
    }
    void put(std::string_view text) const { CHECK(::write(in, text.data(), text.size()) == static_cast<ssize_t>(text.size())); }
    void fill() const {
        const std::string block(4096, 'x');
        while (::write(in, block.data(), block.size()) > 0) {}
    }
    void drain() const {
        char block[4096];
        while (::read(out, block, sizeof block) > 0) {}
    }
    int out = -1;
    int in = -1;
};

task<> await_readable(int fd) {
    co_await wait_readable(fd);
}
task<> await_writable(int fd) {
    co_await wait_writable(fd);
}

} // namespace

EDDY_TEST("wait_readable ends when there is something to read, and takes none of it") {
    pipe_ends p;
    auto waiting = spawn(await_readable(p.out));
    co_await testing::settle();
    CHECK(!waiting.done());
    p.put("x");
    co_await waiting;
    co_await wait_readable(p.out); // still there
    char c = 0;
    CHECK(::read(p.out, &c, 1) == 1);
}

EDDY_TEST("wait_readable ends when the other end is closed") {
    pipe_ends p;
    auto waiting = spawn(await_readable(p.out));
    co_await testing::settle();
    ::close(std::exchange(p.in, -1));
    co_await waiting;
}

EDDY_TEST("wait_writable ends when there is room") {
    pipe_ends p;
    co_await wait_writable(p.in);
    p.fill();
    auto waiting = spawn(await_writable(p.in));
    co_await testing::settle();
    CHECK(!waiting.done());
    p.drain();
    co_await waiting;
}

EDDY_TEST("R13 a second waiter for one direction is refused and the first is unharmed") {
    pipe_ends p;
    auto first = spawn(await_readable(p.out));
    co_await testing::settle();
    std::string second = co_await words::ending(await_readable(p.out));
    CHECK(second == "another task is already waiting for descriptor " + std::to_string(p.out) + " to become readable");
    p.put("x");
    co_await first;
    co_await wait_readable(p.out);
}

EDDY_TEST("both directions of one descriptor can be waited for at once") {
    connection c = co_await connected();
    const int fd = c.client.release();
    tcp_stream owner(fd);
    auto readable = spawn(await_readable(fd));
    co_await wait_writable(fd);
    co_await testing::settle();
    CHECK(!readable.done());
    co_await c.server.write("x"sv);
    co_await readable;
}

EDDY_TEST("a descriptor that one of our streams reads from can be waited for beside it") {
    connection c = co_await connected();
    auto reading = spawn(read_text(c.client));
    co_await testing::settle();
    auto waiting = spawn(await_readable(c.client.native_handle()));
    co_await testing::settle();
    CHECK(!waiting.done());
    co_await c.server.write("for the reader"sv);
    std::string got = co_await std::move(reading);
    CHECK(got == "for the reader");
    co_await c.server.write("x"sv);
    co_await waiting;
}

EDDY_TEST("a regular file is always ready") {
    temporary_folder folder;
    file f = co_await file::open(folder.file("x"), file::mode::read_write | file::mode::create);
    co_await wait_readable(f.native_handle());
    co_await wait_writable(f.native_handle());
    co_await f.close();
}

EDDY_TEST("a number that is no descriptor is refused by name") {
    std::string end = co_await words::ending(await_readable(9999));
    CHECK(end == "cannot wait for descriptor 9999: Bad file descriptor");
    end = co_await words::ending(await_writable(-1));
    CHECK(end == "cannot wait for descriptor -1: Bad file descriptor");
}

EDDY_TEST("a wait that was cancelled leaves the descriptor free for the next, however often") {
    pipe_ends p;
    for (int i = 0; i < 100; ++i) {
        const auto wait = [&](cancel_scope&) -> task<> { co_await wait_readable(p.out); };
        const bool ready = co_await move_on_after(1ms, wait);
        if (ready) FAIL("the pipe is empty");
    }
    CHECK(this_loop().stats().pending_operations == 0);
    p.put("x");
    co_await wait_readable(p.out);
}

EDDY_TEST("a stream may be used for the first time while somebody waits for its descriptor") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream near = co_await tcp_connect(l.local_endpoint());
    tcp_stream far = co_await l.accept();
    auto waiting = spawn([&]() -> task<> { co_await wait_readable(far.native_handle()); });
    co_await testing::settle();
    co_await far.write("hello");
    std::array<std::byte, 5> buffer{};
    const std::size_t n = co_await near.read_some(buffer);
    CHECK(n == 5);
    CHECK_FALSE(waiting.done());
    co_await near.write("x");
    co_await waiting;
    const std::size_t m = co_await far.read_some(buffer);
    CHECK(m == 1);
}

EDDY_TEST("waiting for a descriptor does not make it non-blocking, for nobody who shares it") {
    std::array<int, 2> ends{-1, -1};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    auto waiting = spawn([&]() -> task<> { co_await wait_readable(ends[0]); });
    co_await testing::settle();
    CHECK((::fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0);
    co_await waiting.cancel_and_join();
    for (const int fd : ends) ::close(fd);
}

EDDY_TEST("LP-07 T-31 the kernel is asked at least every 64 ticks although the ready list is never empty") {
    const pipe_ends pipe;
    bool over = false;
    std::uint64_t served = 0;
    auto reader = spawn([&]() -> task<> {
        co_await wait_readable(pipe.out);
        served = this_loop().stats().ticks;
        over = true;
    });
    co_await testing::settle();
    for (int i = 0; i < 100; ++i) {
        spawn([&]() -> task<> {
            while (!over) co_await this_task::yield();
        });
    }
    std::function<void()> again = [&] {
        if (!over) this_loop().call_soon([&] { again(); });
    };
    again();
    for (int i = 0; i < 200; ++i) co_await this_task::yield();
    const std::uint64_t written = this_loop().stats().ticks;
    pipe.put("x");
    for (int i = 0; i < 1000 && !over; ++i) co_await this_task::yield();
    CHECK(over);
    CHECK(served - written <= 66); // 64 that skip it, the one that asks, and the task's own turn
    co_await reader;
    co_await testing::settle(); // nobody uses these variables any more
}
