// A loop inside somebody else's asio::io_context.
#include <fcntl.h>
#include <unistd.h>

#include <eddy/asio.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "lib/tasks.hpp"
#include "runtime/asio_pending.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Ticks of a loop until `done`, which something foreign makes true.
template <class Done>
task<> until(Done done) {
    while (!done()) co_await this_task::yield();
}

} // namespace

TEST_CASE("a loop and Asio code share one io_context and one thread") {
    asio::io_context io;
    event_loop inside{io};
    std::string log;
    asio::steady_timer timer(io, 1ms);
    timer.async_wait([&](std::error_code) { log += "handler "; });
    asio::post(io, [&] { log += "posted "; });
    const int v = inside.run_until_complete([](std::string& l) -> task<int> {
        co_await sleep_for(5ms);
        co_await until([&] { return l.find("handler") != std::string::npos; });
        l += "task ";
        co_return 3;
    }(log));
    CHECK(v == 3);
    CHECK(log == "posted handler task ");
    CHECK(&inside.io_context() == &io);
}

TEST_CASE("a handler of others makes a task ready, and the loop that slept goes on") {
    asio::io_context io;
    event_loop inside{io};
    event e;
    asio::steady_timer timer(io, 1ms);
    timer.async_wait([&](std::error_code) { e.set(); });
    inside.run_until_complete([](event& ev) -> task<> { co_await ev.wait(); }(e));
}

TEST_CASE("R10 what a handler of others throws goes to the exception handler, and the loop goes on") {
    asio::io_context io;
    event_loop inside{io};
    std::vector<std::string> reports;
    inside.set_exception_handler([&](const error_context& c) { reports.push_back(std::string(c.message) + ": " + detail::describe(c.exception)); });
    bool after = false;
    asio::post(io, [] { throw std::runtime_error("first"); });
    asio::post(io, [&] { after = true; });
    inside.run_until_complete(until([&] { return after; }));
    REQUIRE(reports.size() == 1);
    CHECK(reports[0] == "exception in a handler of the io_context that this loop shares: first");
}

TEST_CASE("a handler that posts itself for ever starves nobody, and is not starved") {
    asio::io_context io;
    event_loop inside{io};
    std::size_t rounds = 0;
    bool over = false;
    struct again {
        asio::io_context& io;
        std::size_t& rounds;
        bool& over;
        void operator()() const {
            ++rounds;
            if (!over) asio::post(io, *this);
        }
    };
    asio::post(io, again{io, rounds, over});
    int turns = 0;
    inside.run_until_complete([](int& n) -> task<> {
        for (; n < 1000; ++n) co_await this_task::yield();
        co_await sleep_for(1ms);
    }(turns));
    CHECK(turns == 1000);
    CHECK(rounds > 10);
    over = true;
}

TEST_CASE("io.stop() stops the loop as loop.stop() does") {
    asio::io_context io;
    event_loop inside{io};
    asio::post(io, [&] { io.stop(); });
    inside.run_forever();
    asio::post(io, [&] { io.stop(); });
    CHECK_THROWS_AS(inside.run_until_complete([]() -> task<> { co_await sleep_for(1h); }()), std::logic_error);
    const int v = inside.run_until_complete(give(4)); // and it can run again
    CHECK(v == 4);
}

TEST_CASE("an io_context that had run out of work is used again") {
    asio::io_context io;
    io.run();
    CHECK(io.stopped());
    event_loop inside{io};
    const int v = inside.run_until_complete([]() -> task<int> {
        co_await sleep_for(1ms);
        co_return 5;
    }());
    CHECK(v == 5);
}

TEST_CASE("RN-10 when the loop goes, the io_context has others' handlers still, and they run") {
    asio::io_context io;
    std::string log;
    std::optional<event_loop> inside(std::in_place, io);
    asio_test::pipe p(io);
    std::array<char, 4> data{};
    p.in.async_read_some(asio::buffer(data), [&](std::error_code e, std::size_t n) { log += e ? e.message() : std::to_string(n); });
    inside->run_until_complete([]() -> task<> { co_await sleep_for(1ms); }());
    inside.reset();
    CHECK(log.empty());
    static_cast<void>(::write(p.out.native_handle(), "abc", 3));
    io.run(); // ends: nothing of the loop is left in it
    CHECK(log == "3");
    event_loop another{io};
    CHECK(another.run_until_complete(give(1)) == 1);
}

TEST_CASE("RN-10 the io_context may go right after the loop") {
    auto io = std::make_unique<asio::io_context>();
    auto inside = std::make_unique<event_loop>(*io);
    inside->spawn([]() -> task<> { co_await sleep_for(1h); });
    inside->call_later(1h, [] {});
    inside->poll();
    inside.reset();
    io.reset();
}

TEST_CASE("R16 a loop that leaves a stuck task behind leaves nothing in the io_context that it shared") {
    detail::virtual_clock clock; // the grace period takes no real time
    asio::io_context io;
    {
        loop_options options;
        options.clock = &clock;
        event_loop inside{io, options};
        inside.set_exception_handler([](const error_context&) {});
        inside.spawn([](detail::virtual_clock& c) -> task<> {
            event never;
            for (;;) { // swallows everything; time passes meanwhile
                static_cast<void>(co_await as_result(never.wait()));
                c.now += 10ms;
            }
        }(clock));
        inside.poll();
        CHECK_THROWS_AS(inside.close(0ms), shutdown_timeout);
    }
    io.poll();
    CHECK(io.stopped()); // out of work
}

TEST_CASE("a task of a shared loop awaits Asio's operations") {
    asio::io_context io;
    event_loop inside{io};
    asio::steady_timer timer(io, 1ms);
    const int v = inside.run_until_complete([](asio::steady_timer& t) -> task<int> {
        co_await t.async_wait(use_eddy);
        co_return 6;
    }(timer));
    CHECK(v == 6);
}

TEST_CASE("posts from other threads reach a loop that sleeps in a shared io_context, of both kinds") {
    asio::io_context io;
    event_loop inside{io};
    int got = 0;
    std::thread other([&] {
        asio::post(io, [&] { ++got; });
        inside.call_soon_threadsafe([&] { ++got; });
        asio::post(io, [&] {
            ++got;
            inside.stop();
        });
    });
    inside.run_forever();
    inside.poll();
    other.join();
    CHECK(got == 3);
}

TEST_CASE("io_context: for loops that are open, and not for those that a foreign loop drives") {
    event_loop loop;
    if (loop.native_handle() >= 0) CHECK_THROWS_AS(loop.io_context(), std::logic_error);
    event_loop other;
    static_cast<void>(other.io_context());
    CHECK(other.native_handle() == -1);
    other.close();
    CHECK_THROWS_AS(other.io_context(), std::logic_error);
    asio::io_context io;
    event_loop inside{io};
    CHECK(inside.native_handle() == -1);
}
