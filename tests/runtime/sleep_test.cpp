#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <limits>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("T-17 a sleep of nothing, or less, takes exactly one tick", "[fifo]") {
    const auto start = loop_clock::now();
    std::string log;
    const auto count_ticks = [&] {
        this_loop().call_soon([&] {
            log += "1 ";
            this_loop().call_soon([&] { log += "2 "; });
        });
    };
    count_ticks();
    co_await sleep_for(0s);
    log += "woke ";
    co_await testing::settle();
    count_ticks();
    co_await sleep_for(-1h);
    log += "woke ";
    co_await testing::settle();
    count_ticks();
    co_await sleep_until(start - 1h);
    log += "woke ";
    co_await testing::settle();
    CHECK(log == "1 woke 2 1 woke 2 1 woke 2 ");
    CHECK(loop_clock::now() == start);
}

EDDY_TEST("T-18 a sleep of NaN is an invalid argument") {
    using seconds = std::chrono::duration<double>;
    CHECK(words::throws<std::invalid_argument>([] { return sleep_for(seconds(std::numeric_limits<double>::quiet_NaN())); }));
    const auto start = loop_clock::now();
    co_await sleep_for(seconds(0.5));
    CHECK(loop_clock::now() - start == 500ms);
}

EDDY_TEST("T-19 the timer of a cancelled sleep is gone at once") {
    auto h = spawn([]() -> task<> { co_await sleep_for(1h); });
    co_await testing::settle();
    CHECK(this_loop().stats().timers == 1);
    h.cancel();
    CHECK(this_loop().stats().timers == 0);
    co_await h.join();
}

EDDY_TEST("R7 sleeps with one deadline end in the order they began", "[fifo]") {
    std::string log;
    const auto when = loop_clock::now() + 1s;
    auto sleeper = [&](const char* name) -> task<> {
        co_await sleep_until(when);
        log += name;
    };
    for (const char* name : {"a ", "b ", "c ", "d ", "e "}) spawn(sleeper, name);
    co_await sleep_for(2s);
    CHECK(log == "a b c d e ");
}

EDDY_TEST("a sleep can be made first, moved and awaited later, once") {
    const auto start = loop_clock::now();
    auto op = sleep_for(1s);
    auto moved = std::move(op);
    co_await moved;
    CHECK(loop_clock::now() - start == 1s);
    const auto again = co_await as_result([&]() -> task<> { co_await moved; }());
    CHECK(words::of(again) == "this operation was started before; an operation is awaited once");
}

EDDY_TEST("the longest sleep is legal and can be cancelled") {
    auto h = spawn([]() -> task<> { co_await sleep_for(std::chrono::hours::max()); });
    auto u = spawn([]() -> task<> { co_await sleep_until(loop_clock::time_point::max()); });
    co_await sleep_for(1h);
    CHECK_FALSE(h.done());
    co_await h.cancel_and_join();
    co_await u.cancel_and_join();
}

TEST_CASE("a loop in real time does not spin while its only timer is ages away") {
    event_loop loop;
    loop.call_at(loop_clock::time_point::max(), [] {});
    loop.call_later(std::chrono::nanoseconds::max(), [] {});
    loop.call_later(2ms, [&] { loop.stop(); });
    loop.run_forever();
    CHECK(loop.stats().polls < 100);
    CHECK(loop.stats().timers == 2);
}

EDDY_TEST("LP-20 an hour's sleep takes an hour on the loop's clock and no real time") {
    const auto start = loop_clock::now();
    co_await sleep_for(1h);
    CHECK(loop_clock::now() - start == 1h);
}

EDDY_TEST("a manual clock moves only when it is told to, and everything due happens in order") {
    testing::manual_clock clock;
    std::string log;
    auto sleeper = [&](std::chrono::milliseconds d) -> task<> {
        co_await sleep_for(d);
        log += std::to_string(d.count()) + " ";
        co_await sleep_for(d);
        log += std::to_string(2 * d.count()) + "' ";
    };
    spawn(sleeper, 10ms);
    spawn(sleeper, 15ms);
    const auto start = clock.now();
    co_await testing::settle();
    CHECK(log == "");
    co_await clock.advance(14ms);
    CHECK(log == "10 ");
    co_await clock.advance(10ms);
    CHECK(log == "10 15 20' ");
    CHECK(clock.now() - start == 24ms);
    co_await clock.advance(6ms);
    CHECK(log == "10 15 20' 30' ");
}
