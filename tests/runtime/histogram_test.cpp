#include <eddy/histogram.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <cstdint>
#include <limits>
#include <stdexcept>

using namespace eddy;
using namespace std::chrono_literals;

TEST_CASE("histogram: nothing in it") {
    const histogram h;
    CHECK(h.count() == 0);
    CHECK(h.mean() == 0);
    CHECK(h.max() == 0);
    CHECK(h.quantile(0.5) == 0);
}

TEST_CASE("histogram: values go into buckets by powers of two") {
    histogram h;
    for (const std::uint64_t v : {0u, 1u, 2u, 3u, 4u, 1000u}) h.add(v);
    h.add(std::numeric_limits<std::uint64_t>::max());
    CHECK(h.buckets()[0] == 1);
    CHECK(h.buckets()[1] == 1);
    CHECK(h.buckets()[2] == 2);
    CHECK(h.buckets()[3] == 1);
    CHECK(h.buckets()[10] == 1);
    CHECK(h.buckets()[64] == 1);
    CHECK(h.count() == 7);
    CHECK(h.quantile(1) == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("histogram: quantiles are the upper ends of buckets, and never more than the maximum") {
    histogram h;
    for (std::uint64_t v = 1; v <= 100; ++v) h.add(v);
    CHECK(h.quantile(0) == 1);
    CHECK(h.quantile(0.5) == 63);
    CHECK(h.quantile(0.99) == 100);
    CHECK(h.quantile(1) == 100);
    CHECK(h.mean() == 50.5);
    CHECK(h.sum() == 5050);
    CHECK_THROWS_AS(h.quantile(1.5), std::invalid_argument);
    CHECK_THROWS_AS(h.quantile(std::numeric_limits<double>::quiet_NaN()), std::invalid_argument);
}

TEST_CASE("histogram: the difference of two snapshots") {
    histogram h;
    h.add(5);
    const histogram before = h;
    h.add(100);
    h.add(100);
    const histogram d = h.since(before);
    CHECK(d.count() == 2);
    CHECK(d.sum() == 200);
    CHECK(d.quantile(0) == 100);
}

EDDY_TEST("loop.stats: every tick adds its ready length, its time and the time of its poll") {
    const loop_stats before = this_loop().stats();
    for (int i = 0; i < 10; ++i) {
        spawn([]() -> task<> { co_await this_task::yield(); });
        co_await this_task::yield();
    }
    co_await sleep_for(1s);
    const loop_stats after = this_loop().stats();
    const std::uint64_t ticks = after.ticks - before.ticks;
    CHECK(ticks >= 10);
    CHECK(after.ready_length.since(before.ready_length).count() == ticks);
    CHECK(after.ready_length.since(before.ready_length).sum() == after.steps - before.steps);
    CHECK(after.tick_time.since(before.tick_time).count() == ticks);
    CHECK(after.poll_time.since(before.poll_time).count() == after.polls - before.polls);
    CHECK(after.ready_length.max() >= 2);
}
