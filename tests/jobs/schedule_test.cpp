// Jobs that are enqueued again and again.
#include <algorithm>

#include "jobs/faulty_broker.hpp"

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

namespace {

/// What has come to the queue, in its order.
task<std::vector<jobs::detail::message>> messages_in(jobs::client c, std::size_t most) {
    std::vector<jobs::detail::message> all;
    const std::vector<std::string> queues(1, "celery");
    const auto n = co_await c.queued();
    if (n == 0) co_return all;
    for (const auto& d : co_await c.core()->broker->claim(queues, std::min(n, most))) all.push_back(c.core()->broker->read(d));
    co_return all;
}
/// Until the scheduled times of 25 seconds have passed.
task<> run_schedule(jobs::schedule& s) {
    auto serving = spawn(s.serve());
    co_await sleep_for(25s);
    co_await serving.cancel_and_join();
}

} // namespace

EDDY_TEST("JOB-73 a scheduled job whose reply was lost is there once, and so is each part of a scheduled workflow") {
    jobs::client real = co_await jobs::connect("memory:");
    const auto b = std::make_shared<faulty_broker>(real.core()->broker);
    int sends = 0;
    b->after = [&](std::string_view step) {
        if (step == "enqueue_once" && ++sends % 2 == 1) throw jobs::error("the connection is lost");
    };
    {
        jobs::schedule s{client_of(b)};
        s.every(10s, signature("poll"));
        co_await run_schedule(s);
    }
    auto all = co_await messages_in(real, 100);
    REQUIRE(all.size() >= 2);
    CHECK(all.size() <= 3);
    CHECK(static_cast<std::size_t>(sends) == 2 * all.size());
    CHECK(all[0].id != all[1].id);
    sends = 0;
    {
        jobs::schedule s{client_of(b), "chains"};
        s.every(1min, jobs::chain(signature("a"), signature("b")));
        s.every(1min, jobs::group(signature("c"), signature("d")));
        auto serving = spawn(s.serve());
        co_await sleep_for(70s);
        co_await serving.cancel_and_join();
    }
    all = co_await messages_in(real, 100);
    std::string names;
    for (const auto& m : all) names += m.task;
    std::ranges::sort(names);
    CHECK(std::ranges::count(names, 'a') == std::ranges::count(names, 'd'));
    CHECK(std::ranges::count(names, 'c') == std::ranges::count(names, 'd'));
    CHECK(names.size() == static_cast<std::size_t>(3 * std::ranges::count(names, 'a')));
    CHECK(std::ranges::count(names, 'a') <= 2);
    CHECK(std::ranges::count(names, 'a') >= 1);
}

EDDY_TEST("JOB-74 a scheduled job has the same id in every program, and another one each time; an entry that is there twice is sent twice") {
    jobs::client a = co_await jobs::connect("memory:a"), b = co_await jobs::connect("memory:b");
    const auto all = [&](task_group& g) -> task<> {
        jobs::schedule of_a{a}, of_b{b};
        for (jobs::schedule* s : {&of_a, &of_b}) s->every(10s, signature("poll")).every(10s, signature("poll"));
        g.spawn(of_a.serve());
        g.spawn(of_b.serve());
        co_await sleep_for(15s);
        g.cancel();
        co_await this_task::checkpoint();
    };
    co_await with_task_group(all);
    const auto in_a = co_await messages_in(a, 100), in_b = co_await messages_in(b, 100);
    std::vector<std::string> ids_a, ids_b;
    for (const auto& m : in_a) ids_a.push_back(m.id);
    for (const auto& m : in_b) ids_b.push_back(m.id);
    std::ranges::sort(ids_a);
    std::ranges::sort(ids_b);
    REQUIRE(ids_a.size() >= 2);
    CHECK(ids_a.size() % 2 == 0);
    CHECK(ids_a == ids_b);
    CHECK(std::ranges::adjacent_find(ids_a) == ids_a.end());
    CHECK(ids_a[0].size() == 36);
}
