// Claims in Redis, as Celery keeps them: the message in a hash, its time in a sorted set. One without the other is lost.
#ifdef EDDY_JOBS_REDIS

#include "jobs/support.hpp"
#include "redis/support.hpp"

#include "../../io/jobs/src/broker.hpp"

using namespace jobs_tests;

EDDY_TEST_REAL("JOB-75 workers that look for expired claims at a time take none of another's out of its sight") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    auto settings = std::make_shared<jobs::detail::broker_settings>();
    settings->url = server.url();
    constexpr int brokers = 4, messages = 60, rounds = 10;
    std::vector<jobs::detail::broker_ptr> all;
    for (int i = 0; i < brokers; ++i) all.push_back(co_await jobs::detail::open_broker(settings));
    for (int i = 0; i < messages; ++i) {
        jobs::detail::message m;
        m.id = m.tag = "m" + std::to_string(i);
        m.task = "none";
        jobs::detail::outgoing o("celery", 0, m.tag, jobs::detail::encode_message(m));
        co_await all[0]->enqueue(std::move(o));
    }
    // Each claims what there is, and gives out anew what the others have: a lease that lasts no time is over at once.
    const auto claim_and_restore = [&](jobs::detail::broker_ptr b) -> task<> {
        for (int i = 0; i < rounds; ++i) {
            std::vector<std::string> queues(1, "celery");
            const auto claim = [&](cancel_scope&) -> task<> { static_cast<void>(co_await b->claim(queues, 40)); };
            co_await move_on_after(20ms, claim);
            co_await b->restore(0s, 1'000'000);
        }
    };
    const auto everyone = [&](task_group& g) -> task<> {
        for (const auto& b : all) g.spawn(claim_and_restore, b);
        co_return;
    };
    co_await with_task_group(everyone);
    redis::client rc = co_await redis::connect(server.url());
    const redis::value queued = co_await rc.command("LLEN", "celery"), claimed = co_await rc.command("HLEN", "unacked");
    const redis::value times = co_await rc.command("ZCARD", "unacked_index");
    CHECK(queued.as_integer() + claimed.as_integer() == messages);
    CHECK(times.as_integer() == claimed.as_integer());
}

EDDY_TEST_REAL("JOB-162 a worker that was killed with many claims: all of them come back at the next look") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    auto settings = std::make_shared<jobs::detail::broker_settings>();
    settings->url = server.url();
    const jobs::detail::broker_ptr b = co_await jobs::detail::open_broker(settings);
    constexpr std::size_t messages = 250; // more than are looked for at once
    for (std::size_t i = 0; i < messages; ++i) {
        jobs::detail::message m;
        m.id = m.tag = "m" + std::to_string(i);
        m.task = "none";
        jobs::detail::outgoing o("celery", 0, m.tag, jobs::detail::encode_message(m));
        co_await b->enqueue(std::move(o));
    }
    std::vector<std::string> queues(1, "celery");
    const auto taken = co_await b->claim(queues, messages);
    CHECK(taken.size() == messages);
    const std::size_t restored = co_await b->restore(0s, 1'000'000), length = co_await b->length("celery");
    CHECK(restored == messages);
    CHECK(length == messages);
}

EDDY_TEST_REAL("JOB-163 a question to the workers that is given up leaves nothing in Redis") {
    redis_tests::real_server server;
    const bool there = co_await server.start();
    if (!there) co_return;
    jobs::client c = co_await jobs::connect(server.url());
    redis::client rc = co_await redis::connect(server.url());
    const auto count_keys = [&]() -> task<long long> {
        const redis::value keys = co_await rc.command("DBSIZE");
        co_return keys.as_integer();
    };
    auto asking = spawn(c.control("ping", json::object(), {}, 60s, 1));
    for (long long keys = 0; keys == 0;) keys = co_await count_keys();
    co_await asking.cancel_and_join();
    const long long left = co_await count_keys();
    CHECK(left == 0);
}

#endif
