// A process that forks while it has a loop: the child shares the kernel's objects with its parent, and must leave them alone.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include "io/support.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

namespace {

/// Runs `f` in a forked process; what it returned.
template <class F>
bool in_child(F f) {
    const pid_t child = ::fork();
    if (child == 0) {
        bool good = false;
        try {
            good = f();
        } catch (...) { // it failed
        }
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class F>
bool refused(F f) {
    try {
        f();
        return false;
    } catch (const std::logic_error& e) {
        return std::string(e.what()).find("a child process makes its own") != std::string::npos;
    }
}

} // namespace

EDDY_TEST("a child process that lets go of its copies of streams leaves those of its parent alone") {
    std::optional<connection> p = co_await connected();
    co_await p->server.write("a");
    std::string got = co_await read_text(p->client);
    co_await p->client.write("b"); // with unread input, a close would throw that away
    co_await p->server.write("input");
    auto hears = spawn(read_text(p->server, 1)); // "b"
    got = co_await std::move(hears);
    auto reading = spawn(read_text(p->server));
    co_await testing::settle();
    const bool let_go = in_child([&] {
        p.reset();
        return true;
    });
    CHECK(let_go);
    got = co_await read_text(p->client);
    CHECK(got == "input");
    co_await p->client.write("more");
    got = co_await std::move(reading);
    CHECK(got == "more");
}

EDDY_TEST("what a child process does with its copy of a socket does not reach the socket: its name stays, and so does what it had to send") {
    const temporary_folder folder;
    std::optional<unix_listener> l = unix_listener::bind(folder.file("s"), {.cleanup = true});
    connection p = co_await connected();
    const bool let_go = in_child([&] {
        p.server.abort();
        l.reset();
        return true;
    });
    CHECK(let_go);
    unix_stream again = co_await unix_connect(folder.file("s"));
    CHECK(again.is_open());
    co_await p.server.write("all of it");
    co_await p.server.close(); // in order, and not by a reset
    const std::string got = co_await read_all(p.client);
    CHECK(got == "all of it");
}

EDDY_TEST("a child process is refused by its parent's loop, which goes on") {
    unix_streams ends = unix_stream_pair();
    detail::engine& here = *detail::engine_of(*detail::current().loop);
    const bool good = in_child([&] {
        const bool no_descriptor = refused([&] { static_cast<void>(here.adopt(ends.a.native_handle())); });
        const bool no_poll = refused([&] { here.poll(detail::engine::at_once); });
        return no_descriptor && no_poll && here.forked();
    });
    CHECK(good);
    CHECK_FALSE(here.forked());
    co_await ends.b.write("x");
    std::array<std::byte, 4> bytes{};
    const std::size_t n = co_await ends.a.read_some(bytes);
    CHECK(n == 1);
}

TEST_CASE("a child process that destroys its copy of a loop leaves its parent's alone, and can have one of its own") {
    auto loop = std::make_unique<event_loop>();
    unix_streams ends = unix_stream_pair();
    std::string got;
    const auto read = [&]() -> task<> {
        std::array<char, 8> bytes{};
        const std::size_t n = co_await ends.a.read_some(std::as_writable_bytes(std::span(bytes)));
        got.assign(bytes.data(), n);
    };
    auto reading = loop->spawn(read());
    for (int i = 0; i < 3; ++i) loop->run_once(0ms);
    const bool good = in_child([&] {
        if (!refused([&] { loop->run_once(0ms); })) return false;
        loop.reset();
        event_loop own;
        unix_streams others = unix_stream_pair();
        const auto talk = [&]() -> task<int> {
            co_await others.b.write("xyz");
            std::array<std::byte, 8> bytes{};
            const std::size_t n = co_await others.a.read_some(bytes);
            co_return static_cast<int>(n);
        };
        return own.run_until_complete(talk()) == 3;
    });
    CHECK(good);
    REQUIRE(::write(ends.b.native_handle(), "hello", 5) == 5);
    std::thread waker([&] { loop->call_soon_threadsafe([] {}); });
    loop->run_until_complete([](task_handle<>& h) -> task<> { co_await h; }(reading));
    waker.join();
    CHECK(got == "hello");
}
