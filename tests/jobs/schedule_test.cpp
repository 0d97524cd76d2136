// Jobs that are enqueued again and again.
#include "jobs/support.hpp"

using namespace jobs_tests;
using jobs::signature;

EDDY_TEST("JOB-60 a schedule enqueues at its times, once however many programs run it") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto all = [&](task_group& g) -> task<> {
        jobs::schedule a{c, "same"}, b{c, "same"}, other{c, "other"};
        a.every(10s, signature("poll")).cron("* * * * *", signature("minute"));
        b.every(10s, signature("poll")).cron("* * * * *", signature("minute"));
        other.every(30s, signature("poll"));
        g.spawn(a.serve());
        g.spawn(b.serve());
        g.spawn(other.serve());
        co_await sleep_for(65s);
        g.cancel();
        co_await this_task::checkpoint();
    };
    co_await with_task_group(all);
    const auto sent = co_await c.queued();
    CHECK(sent == 6 + 1 + 2);
}

EDDY_TEST("JOB-61 one of two programs goes on when the other ends") {
    jobs::client c = co_await jobs::connect("memory:");
    jobs::schedule a{c}, b{c};
    a.every(10s, signature("poll"));
    b.every(10s, signature("poll"));
    auto first = spawn(a.serve());
    auto second = spawn(b.serve());
    co_await sleep_for(25s);
    co_await first.cancel_and_join();
    co_await sleep_for(20s);
    co_await second.cancel_and_join();
    const auto sent = co_await c.queued();
    CHECK(sent == 4);
    CHECK_THROWS_AS(a.every(1us, signature("poll")), std::invalid_argument);
    CHECK_THROWS_AS(a.cron("61 * * * *", signature("poll")), std::invalid_argument);
}
