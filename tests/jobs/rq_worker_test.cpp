// RQ's protocol: a worker's life, its commands, and what becomes of jobs when it is killed, stopped, or its server is away.
#ifdef EDDY_JOBS_REDIS

#include "jobs/rq_support.hpp"

using namespace jobs_tests;

EDDY_TEST_REAL("JOB-90 RQ: a job whose claim has ended has failed, or runs again; one that never began is queued again") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::rq_options once_more;
    once_more.retries = 1;
    co_await c.send("m.noop", {.id = "lost"});
    co_await c.send("m.noop", {.id = "again", .rq = &once_more});
    co_await c.send("m.noop", {.id = "unbegun"});
    co_await c.send("m.noop", {.id = "newer"});
    co_await c.send("m.noop", {.id = "running"});
    co_await s.rc->command("DEL", "rq:queue:default"); // a worker has taken them
    const std::vector<std::string> begun{"lost", "again", "newer", "running"};
    for (const std::string& id : begun) co_await s.rc->command("HSET", "rq:job:" + id, "status", "started");
    co_await s.rc->command("ZADD", "rq:wip:default", 1, "lost", 1, "again", 1, "unbegun", 1, "newer:0123abc", 1, "vanished");
    co_await s.rc->command("ZADD", "rq:wip:default", "9999999999", "running");
    jobs::worker w = s.worker({.sweep = 20ms});
    w.add("m.noop", []() -> task<> { co_return; });
    const auto body = [&]() -> task<> {
        const std::string lost = co_await ending_of(c, "lost");
        const std::string newer = co_await ending_of(c, "newer");
        CHECK(has(lost, "Moved to FailedJobRegistry, due to AbandonedJobError"));
        CHECK(has(newer, "AbandonedJobError"));
        co_await c.result("again");
        co_await c.result("unbegun");
        const std::string running = co_await s.key("ZRANGE", "rq:wip:default", 0, -1);
        CHECK(running == R"(["running"])");
    };
    co_await while_rq_serves(w, body);
    CHECK(w.stats().restored == 4);
}

EDDY_TEST_REAL("JOB-91 RQ: commands of the worker's channel: stop-job, kill-horse, shutdown; and none that is garbage") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::worker w = s.worker({.concurrency = 2});
    w.add("m.wait", []() -> task<> { co_await sleep_for(1h); });
    w.add("m.noop", []() -> task<> { co_return; });
    const auto body = [&]() -> task<> {
        co_await c.send("m.wait", {.id = "a"});
        co_await c.send("m.wait", {.id = "b"});
        co_await s.wait_status("a", "started");
        co_await s.wait_status("b", "started");
        co_await s.rc->command("PUBLISH", "rq:pubsub:w", "garbage");
        co_await s.rc->command("PUBLISH", "rq:pubsub:w", R"({"command": 1})");
        co_await s.rc->command("PUBLISH", "rq:pubsub:w", R"({"command": "stop-job", "job_id": "other"})");
        co_await s.rc->command("PUBLISH", "rq:pubsub:w", R"({"command": "stop-job", "job_id": "a"})");
        const std::string stopped = co_await ending_of(c, "a");
        const std::string still = co_await s.status("b");
        CHECK(stopped == "the job was revoked: stopped");
        CHECK(still == "\"started\"");
        std::vector<std::string> named(1, "w");
        co_await c.control("kill-horse", json::object(), std::move(named), 1ms);
        const std::string killed = co_await ending_of(c, "b");
        CHECK(killed == "WorkerLostError: the job was killed by kill-horse");
        co_await c.send("m.wait", {.id = "c"});
        co_await s.wait_status("c", "started");
        co_await c.revoke("c"); // it runs already: nothing happens
        const std::string goes_on = co_await s.status("c");
        CHECK(goes_on == "\"started\"");
        co_await c.revoke("c", {.terminate = true});
        const std::string terminated = co_await ending_of(c, "c");
        CHECK(terminated == "the job was revoked: stopped");
        bool requeued = co_await c.revive("nobody");
        CHECK_FALSE(requeued);
        std::string unknown = "known";
        try {
            co_await c.control("ping");
        } catch (const jobs::error& e) {
            unknown = e.what();
        }
        CHECK(unknown == "jobs: RQ's workers know shutdown, kill-horse and stop-job, and not 'ping'");
        co_await c.control("shutdown", json::object(), {}, 1ms); // to all
    };
    co_await while_rq_serves(w, body);
    const std::string death = co_await s.key("HEXISTS", "rq:worker:w", "death");
    const std::string asked = co_await s.key("HEXISTS", "rq:worker:w", "shutdown_requested_date");
    CHECK(death == "1");
    CHECK(asked == "1");
    CHECK(w.stats().revoked == 2);
    CHECK(w.stats().failed == 1);
}

EDDY_TEST_REAL("JOB-92 RQ: a cold shutdown puts what runs back, first in line; a warm one waits for it [fifo]") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    co_await c.send("m.wait", {.id = "first"});
    co_await c.send("m.wait", {.id = "second"});
    {
        jobs::worker w = s.worker({.concurrency = 1});
        w.add("m.wait", []() -> task<> { co_await sleep_for(1h); });
        const auto body = [&]() -> task<> {
            co_await s.wait_status("first", "started");
            w.stop();
        };
        co_await while_rq_serves(w, body);
    }
    const std::string queue = co_await s.key("LRANGE", "rq:queue:default", 0, -1);
    const std::string claims = co_await s.key("ZCARD", "rq:wip:default");
    CHECK(queue == R"(["first", "second"])");
    CHECK(claims == "0");
    event may_end;
    jobs::worker w = s.worker({.concurrency = 1});
    w.add("m.wait", [&]() -> task<> { co_await may_end.wait(); });
    const auto body = [&]() -> task<> {
        co_await s.wait_status("first", "started");
        w.shutdown();
        co_await this_task::yield();
        may_end.set();
    };
    co_await while_rq_serves(w, body);
    const std::string first = co_await s.status("first");
    const std::string second = co_await s.status("second");
    CHECK(first == "\"finished\"");
    CHECK(second == "\"queued\"");
}

EDDY_TEST_REAL("JOB-93 RQ: nothing is claimed while workers are suspended") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    co_await s.rc->command("SET", "rq:suspended", 1);
    co_await s.c->send("m.noop", {.id = "n"});
    jobs::worker w = s.worker({});
    w.add("m.noop", []() -> task<> { co_return; });
    const auto body = [&]() -> task<> {
        for (;;) {
            const std::string state = co_await s.key("HGET", "rq:worker:w", "state");
            if (state == "\"suspended\"") break;
            co_await sleep_for(5ms);
        }
        const std::string waits = co_await s.status("n");
        CHECK(waits == "\"queued\"");
        co_await s.rc->command("DEL", "rq:suspended");
        co_await s.c->result("n");
    };
    co_await while_rq_serves(w, body);
}

EDDY_TEST_REAL("JOB-94 RQ: two workers of a name are one too many; a server that was away is found again, and the worker born again") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    const auto reports = s.take_reports();
    jobs::worker w = s.worker({.heartbeat = 20ms});
    w.add("m.noop", []() -> task<> { co_return; });
    const auto body = [&]() -> task<> {
        jobs::worker twin = s.worker({});
        std::string why = "served";
        try {
            co_await twin.serve();
        } catch (const jobs::error& e) {
            why = e.what();
        }
        CHECK(why == "jobs: there is an RQ worker 'w' already");
        co_await s.c->call("m.noop");
        co_await s.server.kill();
        const bool back = co_await s.server.start();
        REQUIRE(back);
        co_await s.wait_for("1", "EXISTS", "rq:worker:w"); // it had lost everything
        co_await s.c->call("m.noop");
        const std::string workers = co_await s.key("SMEMBERS", "rq:workers");
        CHECK(workers == R"(["rq:worker:w"])");
    };
    co_await while_rq_serves(w, body);
    CHECK(has(*reports, "jobs: claiming failed; it is tried again"));
}

EDDY_TEST_REAL("JOB-95 RQ: callbacks, progress in meta, limits, results that are not kept") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::worker w = s.worker({.concurrency = 1, .max_result = 500});
    std::string log;
    w.add("m.add", [](int x, int y) -> task<int> { co_return x + y; });
    w.add("m.boom", []() -> task<> {
        throw jobs::failure("ValueError", "bad");
        co_return;
    });
    w.add("m.ok", [&](int result) -> task<> {
        log += "ok " + std::to_string(result) + " ";
        co_return;
    });
    w.add("m.bad", [&](std::string type, json arguments) -> task<> {
        log += type + arguments.dump() + " ";
        co_return;
    });
    w.add("m.big", []() -> task<std::string> { co_return std::string(1000, 'x'); });
    w.add("m.long", []() -> task<> { co_await sleep_for(1h); });
    event may_end;
    w.add("m.tells", [&](jobs::context& job) -> task<> {
        job.progress({{"page", 3}});
        co_await may_end.wait();
    });
    const auto body = [&]() -> task<> {
        jobs::rq_options told, broken;
        told.on_success = "m.ok";
        told.on_failure = "m.bad";
        broken.on_success = "nowhere";
        co_await c.call("m.add", {.rq = &told}, 2, 3);
        const std::string bad = co_await ending_of(c, co_await c.send("m.boom", {.rq = &told}));
        const std::string no_callback = co_await ending_of(c, co_await c.send("m.add", {.rq = &broken}, 2, 3));
        CHECK(log == "ok 5 ValueError[\"bad\"] ");
        CHECK(bad == "ValueError: bad");
        CHECK(no_callback == "NotRegistered: this worker has no callback nowhere");
        const std::string big = co_await ending_of(c, co_await c.send("m.big"));
        CHECK(has(big, "ResultTooLarge: the result of m.big has 1002 bytes; the limit is 500"));
        const std::string late = co_await ending_of(c, co_await c.send("m.long", {.time_limit = 1ms}));
        CHECK(late == "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)");
        jobs::rq_options with_meta;
        with_meta.meta = {{"who", "me"}};
        co_await c.send("m.tells", {.id = "t", .rq = &with_meta});
        for (;;) {
            const jobs::job_status now = co_await c.status("t");
            if (now.state == "STARTED" && now.result == json({{"who", "me"}, {"page", 3}})) break;
            co_await sleep_for(5ms);
        }
        may_end.set();
        co_await c.result("t");
        co_await c.send("m.add", {.id = "unkept", .ignore_result = true}, 1, 1);
        co_await s.wait_for("0", "EXISTS", "rq:job:unkept");
        const std::string gone = co_await ending_of(c, "unkept");
        CHECK(has(gone, "NoSuchJobError"));
    };
    co_await while_rq_serves(w, body);
}

EDDY_TEST_REAL("JOB-96 RQ: queues are looked at, emptied, passed by; failed jobs are queued again; jobs are forgotten") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::rq_options front;
    front.at_front = true;
    co_await c.send("m.once", {.id = "a"});
    co_await c.send("m.once", {.id = "b"});
    co_await c.send("m.once", {.id = "c", .rq = &front});
    co_await c.revoke("b");
    const std::string line = co_await s.key("LRANGE", "rq:queue:default", 0, -1);
    const auto waiting = co_await c.queued();
    CHECK(line == R"(["c", "a"])");
    CHECK(waiting == 2);
    const auto purged = co_await c.purge();
    const std::string left = co_await s.key("EXISTS", "rq:job:a");
    CHECK(purged == 2);
    CHECK(left == "0");
    int runs = 0;
    jobs::worker w = s.worker({});
    w.add("m.once", [&]() -> task<int> {
        if (++runs == 1) throw std::runtime_error("the first time");
        co_return runs;
    });
    const auto body = [&]() -> task<> {
        const std::string failed = co_await ending_of(c, co_await c.send("m.once", {.id = "d"}));
        CHECK(failed == "runtime_error: the first time");
        const bool queued = co_await c.revive("d");
        CHECK(queued);
        const int two = co_await c.result<int>("d");
        CHECK(two == 2);
        const std::string registries = co_await s.key("ZCARD", "rq:failed:default");
        CHECK(registries == "0");
        co_await c.forget("d");
        const std::string keys = co_await s.key("EXISTS", "rq:job:d", "rq:results:d");
        CHECK(keys == "0");
        const bool mine = co_await c.lock("l", "me", 1min);
        const bool yours = co_await c.lock("l", "you", 1min);
        CHECK(mine);
        CHECK_FALSE(yours);
    };
    co_await while_rq_serves(w, body);
}

EDDY_TEST_REAL("JOB-97 RQ: many wait for results at a time, on one connection; one that gives up disturbs nobody") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::worker w = s.worker({.concurrency = 8});
    w.add("m.same", [](int n) -> task<int> { co_return n; });
    const auto body = [&]() -> task<> {
        int sum = 0;
        const auto give_up = [&](cancel_scope&) -> task<> { static_cast<void>(co_await c.call("m.same", {.queue = "nobody-serves-it"}, 1)); };
        const bool came = co_await move_on_after(20ms, give_up);
        CHECK_FALSE(came);
        const auto all = [&](task_group& g) -> task<> {
            for (int i = 1; i <= 100; ++i)
                g.spawn([&](int n) -> task<> { sum += co_await c.call<int>("m.same", n); }, i);
            co_return;
        };
        co_await with_task_group(all);
        CHECK(sum == 5050);
        const std::string claims = co_await s.key("ZCARD", "rq:wip:default");
        CHECK(claims == "0");
    };
    co_await while_rq_serves(w, body);
    CHECK(w.stats().succeeded == 100);
}

EDDY_TEST_REAL("JOB-98 RQ: a claim is renewed while its job runs; acknowledged early, there is none; an id that is queued twice runs twice") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::worker w = s.worker({.concurrency = 1, .visibility_timeout = 300ms, .sweep = 1h});
    event may_end;
    int runs = 0;
    w.add("m.long", [&]() -> task<> { co_await may_end.wait(); });
    w.add("m.counts", [&]() -> task<> {
        ++runs;
        co_return;
    });
    std::string claims;
    w.add("m.early", [&](jobs::context& job) -> task<int> {
        claims += co_await s.key("ZCARD", "rq:wip:default");
        if (job.retries() == 0) job.retry(10ms);
        co_return job.retries();
    }, {.acks_early = true});
    const auto body = [&]() -> task<> {
        co_await c.send("m.long", {.id = "l"});
        co_await s.wait_status("l", "started");
        const std::string first = co_await s.key("ZSCORE", "rq:wip:default", "l");
        for (std::string now = first; now == first; co_await sleep_for(5ms)) now = co_await s.key("ZSCORE", "rq:wip:default", "l");
        may_end.set();
        co_await c.result("l");
        const int retries = co_await c.call<int>("m.early");
        CHECK(retries == 1);
        CHECK(claims == "00");
        co_await s.rc->command("SET", "rq:suspended", 1);
        co_await c.send("m.counts", {.id = "twice"});
        co_await s.rc->command("RPUSH", "rq:queue:default", "twice");
        co_await s.rc->command("DEL", "rq:suspended");
        while (runs < 2) co_await sleep_for(5ms);
    };
    co_await while_rq_serves(w, body);
    CHECK(runs == 2);
}

#endif
