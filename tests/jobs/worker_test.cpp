// Workers and clients, over the broker in memory, on a clock that jumps.
#include "jobs/support.hpp"

#include "../../io/jobs/src/client_core.hpp"

using namespace jobs_tests;

EDDY_TEST("JOB-01 a function and a coroutine are called by name, with JSON between") {
    jobs::worker w{"memory:", {.concurrency = 2}};
    w.add("add", [](int a, int b) { return a + b; });
    w.add("join", [](std::vector<std::string> parts) -> task<std::string> {
        co_await sleep_for(1s);
        std::string all;
        for (const std::string& p : parts) all += p;
        co_return all;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const int five = co_await c.call<int>("add", 2, 3);
        CHECK(five == 5);
        const std::vector<std::string> parts{"a", "b"};
        const auto joined = co_await c.call<std::string>("join", parts);
        CHECK(joined == "ab");
        const std::string id = co_await c.send("add", 1, 1);
        const int two = co_await c.result<int>(id);
        const jobs::job_status s = co_await c.status(id);
        CHECK(two == 2);
        CHECK(s.state == "SUCCESS");
    };
    co_await while_serving(w, body);
    CHECK(w.stats().succeeded == 3);
}

EDDY_TEST("JOB-02 arguments that do not fit say which one, what was expected and what came") {
    jobs::worker w{"memory:"};
    w.add("add", [](int a, int b) { return a + b; }, {.parameters = {"a", "b"}});
    w.add("half", [](double x, std::optional<int> digits) { return digits ? 1.0 : x / 2; });
    w.add("none", [] {});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto ending = [&](std::string name, json args, json named) -> task<std::string> {
            jobs::send_options how;
            how.named = &named;
            std::string id = co_await c.send_json(std::move(name), std::move(args), how);
            co_return co_await ending_of(c, std::move(id));
        };
        const json nothing = json::object();
        const json b3 = json::parse(R"({"b": 3})"), c3 = json::parse(R"({"c": 3})");
        const auto fine = co_await ending("add", json::parse("[2]"), b3);
        const auto text = co_await ending("add", json::parse(R"([2, "3"])"), nothing);
        const auto fraction = co_await ending("add", json::parse("[2.5, 1]"), nothing);
        const auto big = co_await ending("add", json::parse("[3000000000, 1]"), nothing);
        const auto few = co_await ending("add", json::parse("[2]"), nothing);
        const auto many = co_await ending("add", json::parse("[2, 3, 4]"), nothing);
        const auto unknown = co_await ending("add", json::parse("[2]"), c3);
        const auto twice = co_await ending("add", json::parse("[2, 3]"), b3);
        const auto optional = co_await ending("half", json::parse("[3]"), nothing);
        const auto nameless = co_await ending("half", json::parse("[3]"), b3);
        const auto null = co_await ending("none", json::parse("[]"), nothing);
        CHECK(fine == "5");
        CHECK(text == "TypeError: add() argument 2 ('b'): expected an integer, got the string \"3\"");
        CHECK(fraction == "TypeError: add() argument 1 ('a'): expected an integer, got 2.5");
        CHECK(big == "TypeError: add() argument 1 ('a'): expected an integer from -2147483648 to 2147483647, got 3000000000");
        CHECK(few == "TypeError: add() takes 2 arguments but 'b' is missing");
        CHECK(many == "TypeError: add() takes 2 arguments but 3 were given");
        CHECK(unknown == "TypeError: add() has no parameter 'c'");
        CHECK(twice == "TypeError: add() got more than one value for 'b'");
        CHECK(optional == "1.5");
        CHECK(nameless == "TypeError: half() was given the keyword argument 'b', and its parameters have no names (task_options::parameters)");
        CHECK(null == "null");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-03 exceptions fail the job under their name, an unknown task is NotRegistered, and the worker goes on") {
    jobs::worker w{"memory:"};
    w.add("boom", [] { throw jobs::failure("ValueError", "bad thing", 42); });
    w.add("plain", []() -> int { throw std::out_of_range("too far"); });
    w.add("early", [](int) -> task<int> { throw std::runtime_error("before its first step"); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto boom = co_await ending_of(c, co_await c.send("boom"));
        const auto plain = co_await ending_of(c, co_await c.send("plain"));
        const auto early = co_await ending_of(c, co_await c.send("early", 1));
        const auto unknown = co_await ending_of(c, co_await c.send("nowhere"));
        CHECK(boom == "ValueError: bad thing, 42");
        CHECK(plain == "out_of_range: too far");
        CHECK(early == "runtime_error: before its first step");
        CHECK(unknown == "NotRegistered: nowhere");
    };
    co_await while_serving(w, body);
    CHECK(w.stats().failed == 4);
}

EDDY_TEST("JOB-04 priorities: 0 is served first, 9 last; among equals in their order [fifo]") {
    std::string log;
    jobs::client c = co_await jobs::connect("memory:");
    const std::vector<int> all{9, 3, 0, 5, 0};
    for (const int p : all) co_await c.send("note", {.priority = p}, p);
    jobs::worker w{"memory:", {.concurrency = 1, .prefetch = 1}};
    w.add("note", [&](int p) -> task<> {
        log += std::to_string(p);
        co_await sleep_for(1s);
    });
    const auto body = [&]() -> task<> { co_await sleep_for(20s); };
    co_await while_serving(w, body);
    CHECK(log == "00359");
}

EDDY_TEST("JOB-05 a countdown is waited for, what has expired is revoked", "[fifo]") {
    jobs::worker w{"memory:", {.concurrency = 1}};
    w.add("now", []() -> task<std::int64_t> { co_return std::chrono::duration_cast<std::chrono::milliseconds>(this_loop().wall_now().time_since_epoch()).count(); });
    w.add("slow", []() -> task<> { co_await sleep_for(5s); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto before = co_await c.call<std::int64_t>("now");
        const auto later = co_await c.call<std::int64_t>("now", {.countdown = 3s});
        CHECK(later - before >= 3000);
        CHECK(later - before < 3100);
        const std::string busy = co_await c.send("slow");
        const std::string late = co_await c.send("now", {.expires = 1s});
        const auto ending = co_await ending_of(c, late);
        CHECK(ending == "the job was revoked: expired");
        co_await c.result(busy);
    };
    co_await while_serving(w, body);
    CHECK(w.stats().revoked == 1);
}

EDDY_TEST("JOB-06 a job is retried with its id, after its backoff, and then fails with its last error") {
    jobs::worker w{"memory:"};
    std::string log;
    const auto start = loop_clock::now();
    const auto seconds = [&] { return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(loop_clock::now() - start).count()); };
    w.add("flaky", [&](jobs::context& job, int n) -> task<std::string> {
        if (job.retries() < n) job.retry(1s, "again");
        co_return "ok after " + std::to_string(job.retries());
    });
    w.add("auto", [&](jobs::context& job) -> task<> {
        log += std::to_string(job.retries()) + "@" + seconds() + " ";
        throw std::runtime_error("auto");
        co_return;
    }, {.max_retries = 3, .retry_on_error = true, .backoff = 1s});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string first = co_await c.send("auto");
        const auto ending = co_await ending_of(c, first);
        const auto flaky = co_await c.call<std::string>("flaky", 2);
        const auto never = co_await ending_of(c, co_await c.send("flaky", 9));
        CHECK(ending == "runtime_error: auto");
        CHECK(flaky == "ok after 2");
        CHECK(never == "RuntimeError: again");
    };
    co_await while_serving(w, body);
    CHECK(log == "0@0 1@1 2@3 3@7 ");
}

EDDY_TEST("JOB-07 time limits: the soft one cancels a coroutine and asks a function to stop, the hard one fails the job") {
    jobs::worker w{"memory:", {.concurrency = 2}};
    w.add("softy", []() -> task<> { co_await sleep_for(5s); }, {.soft_time_limit = 1s});
    w.add("hardy", []() -> task<> {
        const auto deaf = []() -> task<> { co_await sleep_for(5s); };
        co_await with_shield(deaf);
    }, {.time_limit = 1s});
    w.add("polite", [](jobs::context& job) -> task<std::string> {
        const std::stop_token t = job.stop_token();
        try {
            co_await sleep_for(5s);
        } catch (const operation_cancelled&) {
        }
        co_return t.stop_requested() ? "stopped" : "not asked";
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto start = loop_clock::now();
        const auto soft = co_await ending_of(c, co_await c.send("softy"));
        CHECK(soft == "SoftTimeLimitExceeded: ");
        CHECK(loop_clock::now() - start < 1100ms);
        const auto hard = co_await ending_of(c, co_await c.send("hardy"));
        CHECK(hard == "TimeLimitExceeded: 1");
        CHECK(loop_clock::now() - start < 2300ms);
        const auto polite = co_await c.call<std::string>("polite", {.soft_time_limit = 1s, .time_limit = 3s});
        CHECK(polite == "stopped");
    };
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports += e.message; });
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(w.stats().abandoned == 1);
    CHECK(reports.starts_with("jobs: hardy["));
    CHECK(reports.ends_with("] has gone beyond its time limit; its function is let go of"));
}

EDDY_TEST("JOB-08 revoked before it starts, a job does not run; terminated, it is cancelled", "[fifo]") {
    jobs::worker w{"memory:", {.concurrency = 1}};
    std::string log;
    w.add("work", [&](std::string name) -> task<> {
        log += name + " ";
        co_await sleep_for(10s);
        log += name + "! ";
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string first = co_await c.send("work", "a");
        const std::string second = co_await c.send("work", "b");
        co_await sleep_for(1s);
        co_await c.revoke(second);
        const auto ending_b = co_await ending_of(c, second);
        co_await c.revoke(first, {.terminate = true});
        const auto ending_a = co_await ending_of(c, first);
        CHECK(ending_b == "the job was revoked: revoked");
        CHECK(ending_a == "the job was revoked: terminated");
    };
    co_await while_serving(w, body);
    CHECK(log == "a ");
}

EDDY_TEST("JOB-09 a warm shutdown lets running jobs end and gives the others back; a cold one gives all back", "[fifo]") {
    jobs::client c = co_await jobs::connect("memory:");
    std::string log;
    const auto serve = [&](bool cold) -> task<> {
        jobs::worker w{"memory:", {.concurrency = 1}};
        w.add("work", [&](std::string name) -> task<> {
            co_await sleep_for(10s);
            log += name;
        });
        const auto all = [&](task_group& g) -> task<> {
            auto serving = g.spawn(w.serve());
            co_await sleep_for(1s);
            if (cold)
                w.stop();
            else
                w.shutdown();
            co_await serving;
        };
        co_await with_task_group(all);
    };
    const std::vector<std::string> names{"a", "b", "c"};
    for (const std::string& name : names) co_await c.send("work", name);
    co_await serve(true);
    const auto after_cold = co_await c.queued();
    CHECK(after_cold == 3);
    co_await serve(false);
    const auto after_warm = co_await c.queued();
    CHECK(after_warm == 2);
    CHECK(log == "a");
}

EDDY_TEST("JOB-10 a cancelled serve is a warm shutdown that lasts at most its grace") {
    jobs::client c = co_await jobs::connect("memory:");
    std::string log;
    jobs::worker w{"memory:", {.concurrency = 2, .grace = 5s}};
    w.add("work", [&](int seconds) -> task<> {
        co_await sleep_for(std::chrono::seconds(seconds));
        log += std::to_string(seconds);
    });
    co_await c.send("work", 3);
    co_await c.send("work", 100);
    auto serving = spawn(w.serve());
    co_await sleep_for(1s);
    const auto start = loop_clock::now();
    co_await serving.cancel_and_join();
    CHECK(loop_clock::now() - start < 6s);
    CHECK(log == "3");
    const auto left = co_await c.queued();
    CHECK(left == 1);
}

EDDY_TEST("JOB-11 a job that takes longer than its lease is not given out twice") {
    jobs::client c = co_await jobs::connect("memory:");
    int runs = 0;
    {
        jobs::worker lost{"memory:", {.concurrency = 1, .visibility_timeout = 5s}};
        lost.add("work", [&](jobs::context& job) -> task<bool> {
            ++runs;
            co_await sleep_for(20s); // four times its lease
            co_return job.redelivered();
        });
        const auto body = [&]() -> task<> {
            const auto redelivered = co_await c.call<bool>("work");
            CHECK_FALSE(redelivered);
        };
        co_await while_serving(lost, body);
    }
    CHECK(runs == 1);
}

EDDY_TEST("JOB-17 a claim that nobody refreshes comes back, marked; given out too often, it is a dead letter") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto broker = c.core()->broker;
    const std::vector<std::string> queues(1, "celery");
    const auto claim_and_vanish = [&](std::string id) -> task<> {
        const json nothing = json::array();
        jobs::send_options how;
        how.id = id;
        co_await c.send_json("work", nothing, how);
        static_cast<void>(co_await broker->claim(queues, 1));
    };
    co_await claim_and_vanish("one");
    const auto start = loop_clock::now();
    jobs::worker w{"memory:", {.visibility_timeout = 5s, .sweep = 1s}};
    w.add("work", [](jobs::context& job) -> task<bool> { co_return job.redelivered(); });
    const auto body = [&]() -> task<> {
        const bool redelivered = co_await c.result<bool>("one");
        CHECK(redelivered);
        CHECK(loop_clock::now() - start > 5s);
        CHECK(loop_clock::now() - start < 7s);
    };
    co_await while_serving(w, body);
    CHECK(w.stats().restored == 1);
    co_await claim_and_vanish("two");
    co_await sleep_for(2s);
    const auto restored = co_await broker->restore(1s, 1);
    const auto letters = co_await c.dead_letters();
    CHECK(restored == 1);
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].reason == "given out 1 times and never finished");
}

EDDY_TEST("JOB-12 what is no message is a dead letter, can be looked at and sent again") {
    jobs::client c = co_await jobs::connect("memory:");
    jobs::worker w{"memory:"};
    w.add("add", [](int a, int b) { return a + b; });
    const json bad = json::parse(R"({"compression": "application/x-gzip"})");
    co_await c.send("add", {.headers = &bad}, 1, 2);
    const auto body = [&]() -> task<> {
        co_await sleep_for(1s);
        const auto letters = co_await c.dead_letters();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].reason == "not a job's message: its body is compressed (application/x-gzip), which is not supported");
        const bool revived = co_await c.revive(letters[0].tag);
        CHECK(revived);
        co_await sleep_for(1s);
        const auto again = co_await c.dead_letters();
        CHECK(again.size() == 1);
        const int three = co_await c.call<int>("add", 1, 2);
        CHECK(three == 3);
    };
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports += std::string(e.message) + "\n"; });
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(w.stats().dead == 2);
    const std::string one = "jobs: not a job's message: its body is compressed (application/x-gzip), which is not supported; it is a dead letter now\n";
    CHECK(reports == one + one);
}

EDDY_TEST("JOB-13 progress is seen before the end, a result that is too large is a failure, results can be ignored") {
    jobs::worker w{"memory:", {.max_result = 100}};
    w.add("progress", [](jobs::context& job) -> task<std::string> {
        job.progress({{"cur", 1}, {"total", 2}});
        co_await sleep_for(1s);
        co_return "done";
    });
    w.add("big", [](std::size_t n) { return std::string(n, 'x'); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string id = co_await c.send("progress");
        co_await sleep_for(500ms);
        const jobs::job_status half = co_await c.status(id);
        CHECK(half.state == "PROGRESS");
        CHECK(half.result.dump() == R"({"cur":1,"total":2})");
        const auto done = co_await c.result<std::string>(id);
        CHECK(done == "done");
        const auto big = co_await ending_of(c, co_await c.send("big", 200));
        CHECK(big == "ResultTooLarge: the result of big has 202 bytes; the limit is 100");
        const std::string ignored = co_await c.send("big", {.ignore_result = true}, 10);
        co_await sleep_for(1s);
        const jobs::job_status nothing = co_await c.status(ignored);
        CHECK(nothing.state == "PENDING");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-14 the same id twice runs twice, or once with deduplication") {
    for (int round = 0; round < 2; ++round) {
        const bool deduplicate = round == 1;
        int runs = 0;
        jobs::worker w{"memory:", {.deduplicate = deduplicate}};
        w.add("work", [&]() -> task<int> { co_return ++runs; });
        const auto body = [&]() -> task<> {
            jobs::client c = co_await jobs::connect("memory:");
            co_await c.call<int>("work", {.id = "one"});
            co_await c.send("work", {.id = "one"});
            co_await sleep_for(1s);
        };
        co_await while_serving(w, body);
        CHECK(runs == (deduplicate ? 1 : 2));
    }
}

EDDY_TEST("JOB-15 reject and ignore end a job without a result") {
    jobs::worker w{"memory:"};
    w.add("rejecter", []() -> task<> {
        throw jobs::reject("no");
        co_return;
    });
    w.add("ignorer", []() -> task<> {
        throw jobs::ignore();
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string a = co_await c.send("rejecter"), b = co_await c.send("ignorer");
        co_await sleep_for(1s);
        const jobs::job_status of_a = co_await c.status(a), of_b = co_await c.status(b);
        const auto left = co_await c.queued();
        CHECK(of_a.state == "PENDING");
        CHECK(of_b.state == "PENDING");
        CHECK(left == 0);
    };
    co_await while_serving(w, body);
    CHECK(w.stats().rejected == 1);
}

EDDY_TEST("JOB-16 remote control: ping, stats, registered, active, the pool, consumers, shutdown", "[fifo]") {
    jobs::worker w{"memory:", {.name = "one@here", .concurrency = 1}};
    w.add("work", [](int seconds) -> task<> { co_await sleep_for(std::chrono::seconds(seconds)); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const json pong = co_await c.control("ping");
        CHECK(pong.dump() == R"({"one@here":{"ok":"pong"}})");
        const json names = co_await c.control("registered");
        CHECK(names["one@here"].dump() == R"(["work"])");
        co_await c.send("work", {.id = "w1"}, 100);
        const std::string waiting = co_await c.send("work", {.id = "w2"}, 1);
        co_await sleep_for(1s);
        const json active = co_await c.control("active");
        const json reserved = co_await c.control("reserved");
        CHECK(active["one@here"][0]["id"] == "w1");
        CHECK(reserved["one@here"][0]["id"] == "w2");
        const json one = json::parse(R"({"n": 1})"), other = json::parse(R"({"queue": "other"})");
        co_await c.control("pool_grow", one);
        co_await c.result(waiting);
        const json stats = co_await c.control("stats");
        CHECK(stats["one@here"]["pool"]["max-concurrency"] == 2);
        CHECK(stats["one@here"]["total"]["work"] == 2);
        const json unknown = co_await c.control("dance");
        CHECK(unknown["one@here"].contains("error"));
        co_await c.control("add_consumer", other);
        co_await c.call("work", {.queue = "other"}, 1);
        std::vector<std::string> elsewhere(1, "two@there");
        const json nobody = co_await c.control("ping", json::object(), elsewhere);
        CHECK(nobody.empty());
        co_await c.revoke("w1", {.terminate = true});
        co_await c.control("shutdown");
    };
    co_await while_serving(w, body);
}
