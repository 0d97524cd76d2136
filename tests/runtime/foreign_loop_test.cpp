// A loop of somebody else's that drives ours through native_handle, next_deadline and poll: here poll(2), a few lines long.
#include <poll.h>

#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <thread>

#include "lib/foreign_loop.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using foreign::drive_until;

namespace {

/// Where it is: a foreign loop needs a descriptor to wait for.
[[nodiscard]] bool has_descriptor(event_loop& loop) {
    return loop.native_handle() >= 0;
}

} // namespace

TEST_CASE("row 12 a foreign loop drives tasks that sleep") {
    event_loop loop;
    REQUIRE(has_descriptor(loop));
    auto h = loop.spawn([]() -> task<int> {
        for (int i = 0; i < 5; ++i) co_await sleep_for(1ms);
        co_return 5;
    });
    const foreign::counts n = drive_until(loop, [&] { return h.done(); });
    CHECK(h.result() == 5);
    CHECK(n.sleeps < 50); // it slept, and did not spin
}

TEST_CASE("row 12 nothing to do: the descriptor is quiet and there is no deadline") {
    event_loop loop;
    const int fd = loop.native_handle();
    REQUIRE(fd >= 0);
    CHECK(loop.native_handle() == fd);
    loop.poll();
    CHECK_FALSE(foreign::readable(fd));
    CHECK_FALSE(loop.next_deadline().has_value());
    loop.call_soon([] {});
    const auto due = loop.next_deadline();
    REQUIRE(due.has_value());
    CHECK(*due <= loop.now());
    loop.poll();
    CHECK_FALSE(loop.next_deadline().has_value());
}

TEST_CASE("row 12 posts and tasks from other threads wake a foreign loop, before and after its first poll") {
    for (const bool polled : {false, true}) {
        event_loop loop;
        const int fd = loop.native_handle();
        REQUIRE(fd >= 0);
        if (polled) loop.poll();
        int got = 0;
        std::thread other([&] {
            for (int i = 0; i < 100; ++i) loop.call_soon_threadsafe([&] { ++got; });
        });
        drive_until(loop, [&] { return got == 100; });
        other.join();
        CHECK(got == 100);
        loop.poll();
        CHECK_FALSE(foreign::readable(fd));
    }
}

TEST_CASE("row 12 what comes back from workers wakes a foreign loop") {
    event_loop loop;
    REQUIRE(has_descriptor(loop));
    auto h = loop.spawn([]() -> task<int> {
        int sum = 0;
        for (int i = 0; i < 20; ++i) sum += co_await offload([](int x) { return x; }, i);
        co_return sum;
    });
    drive_until(loop, [&] { return h.done(); });
    CHECK(h.result() == 190);
}

TEST_CASE("row 12 a foreign loop's own callbacks use ours between two polls") {
    event_loop loop;
    REQUIRE(has_descriptor(loop));
    event e;
    auto h = loop.spawn(e.wait());
    loop.poll();
    CHECK_FALSE(loop.next_deadline().has_value());
    e.set(); // a callback of the foreign loop's
    CHECK(loop.next_deadline().has_value());
    drive_until(loop, [&] { return h.done(); });
    CHECK(h.done());
}

TEST_CASE("row 12 a poll that ends before all is done is asked for again") {
    event_loop loop;
    REQUIRE(has_descriptor(loop));
    auto h = loop.spawn([]() -> task<> {
        for (int i = 0; i < 50; ++i) co_await this_task::yield();
    });
    loop.poll(10);
    CHECK_FALSE(h.done());
    CHECK(loop.next_deadline().has_value());
    drive_until(loop, [&] { return h.done(); }, 10);
    CHECK(h.done());
}

TEST_CASE("row 12 signals wake a foreign loop") {
    event_loop loop;
    REQUIRE(has_descriptor(loop));
    auto h = loop.spawn([]() -> task<int> {
        signal_set s{SIGUSR2};
        co_return co_await s.next();
    });
    loop.poll();
    ::raise(SIGUSR2);
    drive_until(loop, [&] { return h.done(); });
    CHECK(h.result() == SIGUSR2);
}

TEST_CASE("row 12 a loop that a foreign loop drives still runs by itself, and the other way round") {
    event_loop loop;
    const int fd = loop.native_handle();
    REQUIRE(fd >= 0);
    loop.run_until_complete([]() -> task<> { co_await sleep_for(1ms); }());
    int got = 0;
    std::thread other([&] { loop.call_soon_threadsafe([&] { ++got; }); });
    drive_until(loop, [&] { return got == 1; });
    other.join();
    CHECK(got == 1);
    loop.close();
    CHECK(loop.native_handle() == -1);
    CHECK_FALSE(loop.next_deadline().has_value());
}
