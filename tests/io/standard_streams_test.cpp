#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <system_error>

#include "io/half_readable.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

/// Descriptors as a shell would hand them to us: blocking.
struct shared_ends {
    int in = -1;
    int out = -1;
    shared_ends(int reading, int writing) : in(reading), out(writing) {}
    shared_ends(shared_ends&& o) noexcept : in(std::exchange(o.in, -1)), out(std::exchange(o.out, -1)) {}
    ~shared_ends() {
        close_out();
        if (in >= 0) ::close(in);
    }
    void close_out() {
        if (out >= 0) ::close(std::exchange(out, -1));
    }
};

shared_ends shared_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return {ends[0], ends[1]};
}

shared_ends shared_sockets() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    return {ends[0], ends[1]};
}

bool is_blocking(int fd) {
    return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

task<std::string> shared_text(standard_input_stream& s) {
    std::string text(64, '\0');
    const std::size_t n = co_await s.read_some(std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

task<> shared_write(standard_output_stream& s, std::string text) {
    co_await s.write(text);
}

void put(int fd, std::string_view text) {
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// A number that stands for something else until the end of the test.
class replaced {
public:
    replaced(int number, int by) : number_(number), kept_(::fcntl(number, F_DUPFD_CLOEXEC, 10)) { ::dup2(by, number); }
    replaced(const replaced&) = delete;
    replaced& operator=(const replaced&) = delete;
    ~replaced() {
        if (kept_ >= 0)
            ::dup2(kept_, number_), ::close(kept_);
        else
            ::close(number_);
    }

private:
    int number_;
    int kept_;
};

} // namespace

EDDY_TEST("standard streams: what is waited for stays blocking for all others, and stays open") {
    for (const bool sockets : {false, true}) {
        shared_ends ends = sockets ? shared_sockets() : shared_pipe();
        const std::size_t before = open_descriptors();
        {
            standard_input_stream in(ends.in, "the input");
            auto reading = spawn(shared_text(in));
            co_await testing::settle();
            CHECK_FALSE(reading.done());
            CHECK(is_blocking(ends.in));
            put(ends.out, "hello");
            const std::string got = co_await std::move(reading);
            CHECK(got == "hello");
            ends.close_out();
            const std::string end = co_await shared_text(in);
            CHECK(end.empty());
            const std::string again = co_await shared_text(in);
            CHECK(again.empty());
        }
        CHECK(descriptor_is_open(ends.in));
        CHECK(is_blocking(ends.in));
        CHECK(open_descriptors() == before - 1);
    }
}

EDDY_TEST("standard streams: lines of a pipe") {
    shared_ends ends = shared_pipe();
    standard_input_stream in(ends.in, "the input");
    put(ends.out, "one\ntwo\n");
    buffered_reader lines{in};
    const std::string one = co_await lines.read_line();
    const std::string two = co_await lines.read_line();
    CHECK(one + two == "one\ntwo\n");
}

EDDY_TEST("standard streams: a write waits for the reader, and is not torn by others") {
    for (const bool sockets : {false, true}) {
        shared_ends ends = sockets ? shared_sockets() : shared_pipe();
        standard_output_stream out(ends.out, "the output");
        standard_input_stream in(ends.in, "the input");
        const std::string a(300'000, 'a');
        const std::string b(300'000, 'b');
        auto first = spawn_eager(shared_write(out, a));
        auto second = spawn_eager(shared_write(out, b));
        co_await testing::settle();
        CHECK_FALSE(first.done());
        CHECK(is_blocking(ends.out));
        buffered_reader r{in};
        const std::string got = co_await r.read_exactly(600'000);
        CHECK((got == a + b));
        co_await std::move(first);
        co_await std::move(second);
    }
}

EDDY_TEST("standard streams: a large write lets others have their turn, even where there is room for all of it") {
    shared_ends ends = shared_pipe();
    if (::fcntl(ends.out, F_SETPIPE_SZ, 1 << 20) < 0) {
        tests::left_out("this process may not make a pipe of a mebibyte");
        co_return;
    }
    standard_output_stream out(ends.out, "the output");
    auto writing = spawn_eager(shared_write(out, std::string(8 * 64 * 1024, 'x')));
    int turns = 0;
    while (!writing.done()) {
        ++turns;
        co_await this_task::yield();
    }
    CHECK(turns >= 7); // between eight pieces
    co_await std::move(writing);
}

EDDY_TEST("R4 standard streams: a read that is cancelled has read nothing; a write says how much went out") {
    shared_ends ends = shared_pipe();
    standard_input_stream in(ends.in, "the input");
    auto reading = spawn(shared_text(in));
    co_await testing::settle();
    co_await reading.cancel_and_join();
    CHECK(reading.cancelled());
    put(ends.out, "later");
    const std::string got = co_await shared_text(in);
    CHECK(got == "later");
    standard_output_stream out(ends.out, "the output");
    const std::string much(1'000'000, 'x');
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        try {
            co_await out.write(much);
        } catch (const operation_cancelled& e) {
            partial = e.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await writing.cancel_and_join();
    CHECK(partial > 0);
    CHECK(partial < much.size());
    outcome<> later = co_await as_result(out.write("x"));
    CHECK(words::of(later) == "write to the output: an earlier write was cancelled half-way");
}

EDDY_TEST("standard streams: a write that fails half-way lets no other follow it") {
    for (const bool sockets : {false, true}) {
        shared_ends ends = sockets ? shared_sockets() : shared_pipe();
        standard_output_stream out(ends.out, "the output");
        standard_input_stream in(ends.in, "the input");
        const half_readable memory;
        std::string got;
        auto first = spawn_eager(words::ending(out.write(memory.bytes())));
        auto second = spawn_eager(words::ending(out.write("later"sv)));
        auto reading = spawn([&]() -> task<> {
            for (;;) got += co_await shared_text(in);
        });
        const std::string failed = co_await std::move(first);
        CHECK(failed == "write to the output: Bad address");
        const std::string queued = co_await std::move(second);
        CHECK(queued == "write to the output: an earlier write failed half-way");
        co_await testing::settle();
        CHECK(!got.empty());
        CHECK((memory.readable().starts_with(got)));
        co_await reading.cancel_and_join();
    }
}

EDDY_TEST("standard streams: so does one that a worker writes to a file") {
    temporary_folder folder;
    const std::string path = folder.file("data");
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    standard_output_stream out(fd, "the file");
    const half_readable memory;
    const std::string nothing = co_await words::ending(out.write(memory.bytes().subspan(memory.readable().size())));
    CHECK(nothing == "write to the file: Bad address");
    co_await out.write("whole ");
    const std::string failed = co_await words::ending(out.write(memory.bytes()));
    CHECK(failed == "write to the file: Bad address");
    const std::string later = co_await words::ending(out.write("later"));
    CHECK(later == "write to the file: an earlier write failed half-way");
    ::close(fd);
}

EDDY_TEST("standard streams: a reader that goes half-way is the error of later writes, too") {
    shared_ends ends = shared_pipe();
    standard_output_stream out(ends.out, "the output");
    auto first = spawn_eager(words::ending(shared_write(out, std::string(300'000, 'x'))));
    co_await testing::settle();
    CHECK_FALSE(first.done());
    ::close(std::exchange(ends.in, -1));
    const std::string gone = co_await std::move(first);
    CHECK(gone == "write to the output: Broken pipe");
    const std::string later = co_await words::ending(out.write("x"));
    CHECK(later == "write to the output: Broken pipe");
}

EDDY_TEST("standard streams: a write that is cancelled in its turn leaves the others alone") {
    shared_ends ends = shared_pipe();
    standard_output_stream out(ends.out, "the output");
    standard_input_stream in(ends.in, "the input");
    const std::string before(100'000, '<');
    auto first = spawn_eager(shared_write(out, before));
    auto second = spawn_eager(shared_write(out, "never"));
    auto third = spawn_eager(shared_write(out, "!"));
    co_await testing::settle();
    co_await second.cancel_and_join();
    buffered_reader r{in};
    const std::string got = co_await r.read_exactly(before.size() + 1);
    CHECK((got == before + "!"));
    co_await std::move(first);
    co_await std::move(third);
}

EDDY_TEST("standard streams: one reader at a time; nothing is read into an empty buffer") {
    shared_ends ends = shared_pipe();
    standard_input_stream in(ends.in, "the input");
    auto reading = spawn(shared_text(in));
    co_await testing::settle();
    outcome<std::string> busy = co_await as_result(shared_text(in));
    CHECK(words::of(busy) == "another task is already reading from the input");
    co_await reading.cancel_and_join();
    const std::size_t none = co_await in.read_some(std::span<std::byte>());
    CHECK(none == 0);
}

EDDY_TEST("standard streams: a file is read and written at the position that is shared with others") {
    temporary_folder folder;
    const std::string path = folder.file("data");
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    put(fd, "before ");
    {
        standard_output_stream out(fd, "the file");
        co_await out.write("of ours ");
        co_await out.write(std::string("and more"));
    }
    CHECK(::lseek(fd, 0, SEEK_CUR) == 23);
    ::lseek(fd, 7, SEEK_SET);
    standard_input_stream in(fd, "the file");
    const std::string got = co_await shared_text(in);
    CHECK(got == "of ours and more");
    const std::string end = co_await shared_text(in);
    CHECK(end.empty());
    ::close(fd);
}

EDDY_TEST("standard streams: /dev/null takes everything and is at its end") {
    const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    standard_output_stream out(fd, "null");
    co_await out.write("nobody reads this");
    standard_input_stream in(fd, "null");
    const std::string got = co_await shared_text(in);
    CHECK(got.empty());
    ::close(fd);
}

EDDY_TEST("standard streams: a terminal is opened again, and its own flags stay; ^D is an end after which it goes on") {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) {
        tests::left_out("this machine has no pseudo-terminals");
        co_return;
    }
    std::array<char, 64> name{};
    REQUIRE(::ptsname_r(master, name.data(), name.size()) == 0);
    const int terminal = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    {
        standard_input_stream in(terminal, "the terminal");
        standard_output_stream out(terminal, "the terminal");
        standard_input_stream screen(master, "the screen"); // no RWF_NOWAIT, and not opened again
        CHECK(in.is_terminal());
        auto reading = spawn(shared_text(in));
        co_await testing::settle();
        CHECK_FALSE(reading.done());
        CHECK(is_blocking(terminal));
        put(master, "hello\n");
        const std::string got = co_await std::move(reading);
        CHECK(got == "hello\n");
        put(master, "\x04");
        const std::string end = co_await shared_text(in);
        CHECK(end.empty());
        put(master, "on\n");
        const std::string on = co_await shared_text(in);
        CHECK(on == "on\n");
        co_await out.write("bye\n");
        std::string shown;
        while (!shown.ends_with("bye\r\n")) shown += co_await shared_text(screen);
        CHECK(is_blocking(terminal));
        CHECK(is_blocking(master));
    }
    ::close(terminal);
    ::close(master);
}

EDDY_TEST("standard streams: closed, and the wrong way round, are clear errors; so is a reader that has gone") {
    shared_ends ends = shared_pipe();
    const std::string wrong_in = words::of_call([&] { return standard_input_stream(ends.out, "the output"); });
    CHECK(wrong_in.starts_with("cannot read from the output: "));
    const std::string wrong_out = words::of_call([&] { return standard_output_stream(ends.in, "the input"); });
    CHECK(wrong_out.starts_with("cannot write to the input: "));
    const int free_number = ::fcntl(ends.in, F_DUPFD_CLOEXEC, 100);
    ::close(free_number);
    const std::string closed = words::of_call([&] { return standard_input_stream(free_number, "the input"); });
    CHECK(closed.starts_with("cannot use the input: "));
    standard_output_stream out(ends.out, "the output");
    ::close(std::exchange(ends.in, -1));
    outcome<> gone = co_await as_result(out.write("x"));
    CHECK(words::of(gone).starts_with("write to the output: "));
    CHECK(gone.error() == std::errc::broken_pipe);
    standard_output_stream elsewhere = std::move(out);
    outcome<> moved = co_await as_result(out.write("x"));
    CHECK(words::holds<closed_resource>(moved.exception()));
}

EDDY_TEST("standard_input, standard_output and standard_error are the descriptors 0, 1 and 2") {
    shared_ends ends = shared_pipe();
    std::string said;
    {
        const replaced input(0, ends.in);
        const replaced output(1, ends.out);
        const replaced error(2, ends.out);
        standard_output_stream out = standard_output();
        co_await out.write("out ");
        standard_output_stream err = standard_error();
        co_await err.write("err");
        standard_input_stream in = standard_input();
        said = co_await shared_text(in);
    }
    CHECK(said == "out err");
}
