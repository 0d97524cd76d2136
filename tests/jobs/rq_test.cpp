// RQ's protocol: what a client writes, what a worker does with it, and with what cannot be used.
#ifdef EDDY_JOBS_REDIS

#include "jobs/rq_support.hpp"

#include "../../io/jobs/src/redis_rq_job.hpp"

using namespace jobs_tests;
namespace rq = eddy::jobs::detail::rq;

namespace {

jobs::worker& add_functions(jobs::worker& w) {
    w.add("m.add", [](int x, int y) { return x + y; }, {.parameters = {"x", "y"}});
    w.add("m.boom", [] { throw jobs::failure("ValueError", "bad thing", 42); });
    w.add("m.noop", []() -> task<> { co_return; });
    w.add("m.wait", []() -> task<> { co_await sleep_for(1h); });
    return w;
}

} // namespace

EDDY_TEST("JOB-80 RQ: a job's hash and back; packed or not") {
    jobs::detail::message m;
    m.id = "a-1";
    m.task = "m.add";
    m.args = json::parse("[2]");
    m.kwargs = json::parse(R"({"y": "ü"})");
    m.rq.emplace();
    m.rq->retries = 2;
    m.rq->retry_intervals = {1s, 1500ms};
    const std::vector<std::string> words = rq::fields_of(m);
    rq::fields hash;
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) hash[words[i]] = words[i + 1];
    CHECK(hash["description"] == "m.add(2, y='ü')");
    CHECK(hash["timeout"] == "180");
    CHECK(hash["retries_left"] == "2");
    CHECK(hash["retry_intervals"] == "[1,2]");
    CHECK(hash["created_at"].size() == std::string_view("2026-11-21T22:43:52.415496Z").size());
    const std::string data = rq::decompress(hash["data"]).value_or("not packed");
    CHECK(data == R"(["m.add",null,[2],{"y":"ü"}])");
    jobs::detail::message read = rq::message_in("a-1", "default", hash);
    CHECK(read.task == "m.add");
    CHECK(read.kwargs == m.kwargs);
    CHECK(read.time_limit == 180);
    CHECK(read.rq->retries == 2);
    hash["data"] = data;
    hash["timeout"] = "-1";
    read = rq::message_in("a-1", "default", hash);
    CHECK(read.args == m.args);
    CHECK_FALSE(read.time_limit);
    co_return;
}

EDDY_TEST("JOB-81 RQ: data that cannot be used says what it is") {
    const auto refusal = [](std::string data) -> std::string {
        rq::fields hash;
        hash["data"] = std::move(data);
        try {
            static_cast<void>(rq::message_in("x", "default", hash));
            return "taken";
        } catch (const jobs::malformed_message& e) {
            return e.what();
        }
    };
    const std::string pickled("\x80\x05\x95", 3);
    CHECK(refusal(pickled) == "unsupported serializer: job x was pickled, which only Python can read; enqueue it with RQ's JSONSerializer");
    CHECK(refusal(rq::compress(pickled)) == refusal(pickled));
    CHECK(refusal("garbage") == "unsupported serializer: the data of job x is no JSON");
    CHECK(refusal("[1]") == "the data of job x is no call: [name, null, [arguments], {named}]");
    CHECK(refusal(R"(["mul", {"a": 1}, [], {}])") == "job x calls mul of an object, which there is none of in C++");
    CHECK(refusal("") == "job x has no data");
    CHECK_THROWS_AS(rq::message_in("x", "default", {}), jobs::malformed_message);
    const std::string bomb = rq::compress(std::string(std::size_t{257} << 20, ' '));
    CHECK(refusal(bomb) == "the job's data is larger than 256 MiB when it is unpacked");
    co_return;
}

EDDY_TEST("JOB-82 RQ: a traceback's last exception; what others wrote is no reason to fail") {
    const auto read = [](const std::string& text) {
        const json e = rq::exception_in(text);
        return e["exc_module"].get<std::string>() + "|" + e["exc_type"].get<std::string>() + "|" + e["exc_message"].dump();
    };
    CHECK(read("Traceback (most recent call last):\n  File \"a\"\nValueError: ('bad', 42)\n") == R"x(builtins|ValueError|["('bad', 42)"])x");
    CHECK(read("A: x\n\nDuring …\n\nTraceback (most recent call last):\n  File\nrq.timeouts.JobTimeoutException: two\nlines") == R"(rq.timeouts|JobTimeoutException|["two\nlines"])");
    CHECK(read("  File\nKeyboardInterrupt\n") == "builtins|KeyboardInterrupt|[]");
    CHECK(read("Job stopped by user, work-horse terminated.") == R"(builtins|Exception|["Job stopped by user, work-horse terminated."])");
    CHECK(read("") == R"(builtins|Exception|[""])");
    jobs::detail::message m;
    const json limit = jobs::detail::make_result(m, "FAILURE", jobs::detail::make_exception("TimeLimitExceeded", json::array({2}), "billiard.exceptions"), "here\nand so on");
    CHECK(rq::failure_text(limit) == "Traceback (most recent call last):\n  here\nrq.timeouts.JobTimeoutException: Task exceeded maximum timeout value (2 seconds)\n");
    co_return;
}

EDDY_TEST("JOB-83 RQ: what it has not is refused, and not left out") {
    const auto refusal = [](auto change) -> std::string {
        jobs::detail::message m;
        m.id = "x";
        m.task = "f";
        change(m);
        try {
            static_cast<void>(rq::fields_of(m));
            return "taken";
        } catch (const jobs::error& e) {
            return e.what();
        }
    };
    CHECK(refusal([](auto&) {}) == "taken");
    CHECK(refusal([](auto& m) { m.priority = 3; }) == "jobs: f: RQ has no priorities: use several queues, or rq_options::at_front");
    CHECK(refusal([](auto& m) { m.soft_time_limit = 1; }) == "jobs: f: RQ has no soft time limits");
    CHECK(refusal([](auto& m) { m.headers["a"] = 1; }) == "jobs: f: RQ has no headers: use rq_options::meta");
    CHECK(refusal([](auto& m) { m.chain = json::array({1}); }) == "jobs: f: RQ has no workflows: use rq_options::depends_on");
    CHECK(refusal([](auto& m) { m.callbacks = json::array({1}); }) == "jobs: f: RQ has no jobs that follow: use rq_options::depends_on, on_success and on_failure");
    CHECK(refusal([](auto& m) { m.id = "a:b"; }) == "jobs: 'a:b' is no id for RQ: letters, digits, - and _");
    const auto text_of = [](std::string url, jobs::connect_options o) -> task<std::string> {
        try {
            static_cast<void>(co_await jobs::connect(std::move(url), o));
        } catch (const jobs::error& e) {
            co_return std::string(e.what());
        }
        co_return std::string("connected");
    };
    const std::string memory = co_await text_of("memory:", {.protocol = jobs::protocol::rq});
    const std::string results = co_await text_of("redis://h", {.protocol = jobs::protocol::rq, .results = "redis://other"});
    CHECK(memory == "jobs: RQ's protocol is spoken over Redis, not over memory:");
    CHECK(results == "jobs: with RQ's protocol, results are where the jobs are");
    jobs::client c = co_await jobs::connect("memory:");
    const jobs::rq_options how;
    std::string said;
    try {
        co_await c.send("f", {.rq = &how});
    } catch (const jobs::error& e) {
        said = e.what();
    }
    CHECK(said == "jobs: f was sent with rq_options, and this is not RQ's protocol");
}

EDDY_TEST_REAL("JOB-84 RQ: values and failures, and what is left in the keys") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::worker w = s.worker({.concurrency = 2});
    add_functions(w);
    const auto body = [&]() -> task<> {
        jobs::client& c = *s.c;
        const int five = co_await c.call<int>("m.add", {.id = "five"}, 2, 3);
        CHECK(five == 5);
        const int again = co_await c.result<int>("five");
        CHECK(again == 5);
        const std::string boom = co_await ending_of(c, co_await c.send("m.boom", {.id = "boom"}));
        const std::string unknown = co_await ending_of(c, co_await c.send("nowhere"));
        const std::string nothing = co_await ending_of(c, co_await c.send("m.noop"));
        const std::string nobody = co_await ending_of(c, "nobody");
        CHECK(boom == "ValueError: ('bad thing', 42)");
        CHECK(unknown == "NotRegistered: nowhere");
        CHECK(nothing == "null");
        CHECK(nobody == "NoSuchJobError: No such job: nobody (unknown, deleted, or its result was not kept)");
        const jobs::job_status known = co_await c.status("five");
        const jobs::job_status unheard = co_await c.status("nobody");
        CHECK(known.state == "SUCCESS");
        CHECK(unheard.state == "PENDING");
        const std::string queues = co_await s.key("SMEMBERS", "rq:queues");
        const std::string claims = co_await s.key("ZCARD", "rq:wip:default");
        const std::string finished = co_await s.key("ZCARD", "rq:finished:default");
        const std::string failed = co_await s.key("ZCARD", "rq:failed:default");
        const std::string worker = co_await s.key("HMGET", "rq:worker:w", "state", "current_job", "successful_job_count", "failed_job_count", "queues");
        const std::string ttl = co_await s.key("TTL", "rq:job:five");
        CHECK(queues == R"(["rq:queue:default"])");
        CHECK(claims == "0");
        CHECK(finished == "2");
        CHECK(failed == "2");
        CHECK(worker == R"(["idle", nil, "2", "2", "default"])");
        CHECK((ttl == "500" || ttl == "499"));
    };
    co_await while_rq_serves(w, body);
    const std::string workers = co_await s.key("SMEMBERS", "rq:workers");
    const std::string lock = co_await s.key("EXISTS", "rq:scheduler-lock:default");
    CHECK(workers == "[]");
    CHECK(lock == "0");
}

EDDY_TEST_REAL("JOB-85 RQ: a job that is pickled, or gone, has failed, or is left out, and the worker goes on") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    const auto reports = s.take_reports();
    const std::string pickled = rq::compress(std::string("\x80\x05", 2));
    co_await s.rc->command("HSET", "rq:job:p", "data", pickled, "origin", "default", "status", "queued");
    co_await s.rc->command("RPUSH", "rq:queue:default", "ghost", "p");
    jobs::worker w = s.worker({});
    add_functions(w);
    const auto body = [&]() -> task<> {
        const int five = co_await s.c->call<int>("m.add", 2, 3);
        CHECK(five == 5);
        co_await s.wait_status("p", "failed");
        const std::string why = co_await ending_of(*s.c, "p");
        CHECK(has(why, "DeserializationError: unsupported serializer: job p was pickled"));
        const std::string claims = co_await s.key("ZCARD", "rq:wip:default");
        CHECK(claims == "0");
        const std::vector<jobs::dead_letter> letters = co_await s.c->dead_letters();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].tag == "p");
        CHECK(letters[0].queue == "default");
    };
    co_await while_rq_serves(w, body);
    CHECK(w.stats().dead == 2);
    CHECK(has(*reports, "jobs: job ghost was queued, and is not there: deleted, or older than its ttl"));
    CHECK(has(*reports, "jobs: unsupported serializer: job p was pickled"));
}

EDDY_TEST_REAL("JOB-86 RQ: a dependent waits for its parents; not after a failure, unless that is allowed") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    jobs::rq_options after_two, after_bad, in_spite;
    co_await c.send("m.noop", {.id = "one"});
    co_await c.send("m.noop", {.id = "two", .queue = "other"});
    co_await c.send("m.boom", {.id = "bad"});
    after_two.depends_on = {"one", "two", "gone"};
    after_bad.depends_on = {"bad"};
    in_spite.depends_on = {"bad"};
    in_spite.allow_dependency_failures = true;
    co_await c.send("m.add", {.id = "child", .rq = &after_two}, 2, 3);
    co_await c.send("m.noop", {.id = "never", .rq = &after_bad});
    co_await c.send("m.noop", {.id = "still", .rq = &in_spite});
    const std::string waits = co_await s.status("child");
    const std::string deferred = co_await s.key("ZCARD", "rq:deferred:default");
    CHECK(waits == "\"deferred\"");
    CHECK(deferred == "3");
    jobs::worker w = s.worker({.queues = {"default", "other"}});
    add_functions(w);
    const auto body = [&]() -> task<> {
        const int five = co_await c.result<int>("child");
        co_await c.result("still");
        CHECK(five == 5);
        const std::string never = co_await s.status("never");
        CHECK(never == "\"deferred\"");
        jobs::rq_options late;
        late.depends_on = {"one"};
        co_await c.call("m.noop", {.rq = &late}); // at once: it has finished
    };
    co_await while_rq_serves(w, body);
}

EDDY_TEST_REAL("JOB-87 RQ: retries, as the job says itself and as the function asks, by the scheduler's set") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::worker w = s.worker({});
    add_functions(w);
    w.add("m.second", [](jobs::context& job) {
        if (job.retries() < 1) throw std::runtime_error("not yet");
        return job.retries();
    });
    w.add("m.asks", [](jobs::context& job) {
        if (job.retries() < 2) job.retry(10ms, "again");
        return job.retries();
    });
    const auto body = [&]() -> task<> {
        jobs::rq_options twice, later;
        twice.retries = 2;
        later.retries = 1;
        later.retry_intervals = {1s};
        const std::string boom = co_await ending_of(*s.c, co_await s.c->send("m.boom", {.id = "b", .rq = &twice}));
        const int second = co_await s.c->call<int>("m.second", {.id = "s", .rq = &later});
        const int asked = co_await s.c->call<int>("m.asks");
        const std::string left = co_await s.key("HMGET", "rq:job:b", "retries_left", "number_of_retries");
        const std::string scheduled = co_await s.key("ZCARD", "rq:scheduled:default");
        CHECK(boom == "ValueError: ('bad thing', 42)");
        CHECK(second == 1);
        CHECK(asked == 2);
        CHECK(left == R"(["0", "2"])");
        CHECK(scheduled == "0");
    };
    co_await while_rq_serves(w, body);
    CHECK(w.stats().retried == 5);
}

EDDY_TEST_REAL("JOB-88 RQ: the scheduler moves what is due, and only if no other has the lock") {
    rq_scene s;
    const bool there = co_await s.open();
    if (!there) co_return;
    jobs::client& c = *s.c;
    co_await c.send("m.noop", {.id = "due", .eta = std::chrono::system_clock::now() - 5s});
    co_await c.send("m.noop", {.id = "later", .countdown = 1h});
    co_await c.send("m.noop", {.id = "elsewhere", .queue = "other", .eta = std::chrono::system_clock::now() - 5s});
    co_await s.rc->command("SET", "rq:scheduler-lock:other", 1);
    jobs::worker w = s.worker({.queues = {"default", "other"}});
    add_functions(w);
    const auto body = [&]() -> task<> {
        co_await c.result("due");
        const std::string later = co_await s.status("later");
        const std::string elsewhere = co_await s.status("elsewhere");
        CHECK(later == "\"scheduled\"");
        CHECK(elsewhere == "\"scheduled\"");
        co_await s.rc->command("DEL", "rq:scheduler-lock:other");
        co_await c.result("elsewhere");
        co_await c.revoke("later");
        const std::string ending = co_await ending_of(c, "later");
        CHECK(ending == "the job was revoked: canceled");
        const std::string sets = co_await s.key("ZCARD", "rq:scheduled:default");
        CHECK(sets == "0");
    };
    co_await while_rq_serves(w, body);
}

#endif
