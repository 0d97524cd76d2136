// What goes wrong in the middle: brokers that fail between two steps, messages of others, functions that do not listen.
#include "jobs/faulty_broker.hpp"

using namespace jobs_tests;
using jobs::signature;

namespace {

int payloads_of(const std::vector<std::string>& sent, std::string_view name) {
    int n = 0;
    for (const std::string& payload : sent) n += jobs::detail::decode_message(payload).task == name ? 1 : 0;
    return n;
}

} // namespace

EDDY_TEST("JOB-60 a chord's parts stay until its body is sent") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto b = c.core()->broker;
    co_await b->set_chord_size("g", 1, 1h);
    const auto first = co_await b->add_chord_part("g", 0, "part", 1h);
    const auto again = co_await b->add_chord_part("g", 0, "part", 1h); // the one that was told first was killed
    REQUIRE(first);
    REQUIRE(again);
    CHECK(*again == *first);
    co_await b->end_chord("g");
    const auto over = co_await b->add_chord_part("g", 0, "part", 1h);
    CHECK_FALSE(over);
}

EDDY_TEST("JOB-61 a chord whose last part's reply is lost has its body all the same") {
    faulty_worker w;
    w.add("add", [](int a, int b) -> task<int> { co_return a + b; });
    w.add("sum", [](std::vector<int> all) -> task<int> { co_return all.at(0) + all.at(1); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        int parts = 0;
        w.broker->after = [&](std::string_view step) {
            if (step == "add_chord_part" && ++parts == 2) throw jobs::error("the connection is lost");
        };
        const auto chord = jobs::chord(jobs::group(signature("add", 1, 1), signature("add", 2, 2)), signature("sum"));
        const int six = co_await c.result<int>(co_await c.send(chord));
        CHECK(six == 6);
        CHECK(payloads_of(w.broker->sent, "sum") == 1);
    };
    co_await w.serve_while(body);
    CHECK(w.reports == "jobs: what follows a job could not be sent; it is tried again\n");
}

EDDY_TEST("JOB-62 what follows a job is sent once each, though sending it fails in the middle") {
    faulty_worker w;
    std::string log;
    w.add("add", [](int a, int b) -> task<int> { co_return a + b; });
    w.add("note", [&](json, std::string text) -> task<> {
        log += text;
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        int sends = 0;
        w.broker->before = [&](std::string_view step) {
            if (step == "enqueue" && (++sends == 2 || sends == 3)) throw jobs::error("the connection is lost");
        };
        const signature first("note", "a"), then("note", "b");
        const auto twice = signature("add", 1, 2).on_success(first).on_success(then);
        co_await c.result<int>(co_await c.send(twice));
        co_await sleep_for(1s);
    };
    co_await w.serve_while(body);
    CHECK(log == "ab");
}

EDDY_TEST("JOB-63 what follows a job and cannot be sent keeps the job from being acknowledged") {
    faulty_worker w({.visibility_timeout = 5s, .sweep = 1s});
    int runs = 0;
    w.add("work", [&]() -> task<int> { co_return ++runs; });
    w.add("note", [](json) -> task<int> { co_return 7; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto start = loop_clock::now();
        w.broker->before = [&](std::string_view step) {
            if (step == "enqueue" && loop_clock::now() - start < 6s) throw jobs::error("the broker is away");
        };
        const auto chain = jobs::chain(signature("work"), signature("note"));
        const int seven = co_await c.result<int>(co_await c.send(chain));
        CHECK(seven == 7);
        CHECK(runs == 2);
    };
    co_await w.serve_while(body);
}

EDDY_TEST("JOB-64 STARTED that cannot be stored is reported, and the job runs") {
    faulty_worker w({.track_started = true});
    w.add("work", []() -> task<int> { co_return 1; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        w.broker->before = [](std::string_view step) {
            if (step == "store") throw jobs::error("the broker is away");
        };
        const int one = co_await c.call<int>("work");
        CHECK(one == 1);
    };
    co_await w.serve_while(body);
    CHECK(w.reports == "jobs: that a job has started could not be stored\n");
}

EDDY_TEST("JOB-65 a final result that cannot be read, and Python's NaN, end the wait") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto b = c.core()->broker;
    co_await b->store("nan", R"({"status": "SUCCESS", "result": [NaN, 1], "task_id": "nan"})", 1h);
    const std::string surrogate = R"({"status": "SUCCESS", "result": "\ud800"})";
    co_await b->store("surrogate", surrogate, 1h);
    std::string wrong;
    const auto wait_for_both = [&](cancel_scope&) -> task<> {
        const json v = co_await c.result("nan");
        CHECK(v.size() == 2);
        try {
            co_await c.result("surrogate");
        } catch (const jobs::error& e) {
            wrong = e.what();
        }
    };
    const bool in_time = co_await move_on_after(10s, wait_for_both);
    CHECK(in_time);
    CHECK(wrong.starts_with("jobs: a stored result cannot be read: "));
}

EDDY_TEST("JOB-66 what is reported after the end is not stored, and of many reports the last is") {
    jobs::worker w{"memory:", {.concurrency = 1}};
    w.add("chatty", [](jobs::context& job) -> task<> {
        for (int i = 1; i <= 100; ++i) job.progress(i);
        co_await sleep_for(2s);
        const auto deaf = [&]() -> task<> {
            co_await sleep_for(10s);
            job.progress(-1);
        };
        co_await with_shield(deaf);
    }, {.time_limit = 3s});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string id = co_await c.send("chatty");
        co_await sleep_for(1s);
        const jobs::job_status half = co_await c.status(id);
        CHECK(half.result == 100);
        const auto ending = co_await ending_of(c, id);
        CHECK(ending == "TimeLimitExceeded: 3");
        co_await sleep_for(20s);
        const jobs::job_status last = co_await c.status(id);
        CHECK(last.state == "FAILURE");
    };
    int reports = 0;
    this_loop().set_exception_handler([&](const error_context&) { ++reports; });
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(reports == 1); // it was let go of
}

EDDY_TEST("JOB-67 JSON that is too deep is a dead letter") {
    jobs::client c = co_await jobs::connect("memory:");
    const auto b = c.core()->broker;
    std::string deep = R"({"body": )";
    deep.append(100'000, '[').append(100'000, ']').append("}");
    jobs::worker w{"memory:"};
    w.add("add", [](int a, int b2) -> task<int> { co_return a + b2; });
    int reports = 0;
    this_loop().set_exception_handler([&](const error_context&) { ++reports; });
    const auto body = [&]() -> task<> {
        co_await b->enqueue(jobs::detail::outgoing("celery", 0, "deep", deep));
        const int three = co_await c.call<int>("add", 1, 2);
        CHECK(three == 3);
        const auto letters = co_await c.dead_letters();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].reason == "JSON with more than 200 lists and objects inside of each other");
    };
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(reports == 1);
}

EDDY_TEST("JOB-68 a job beyond its soft limit is ended by a cold shutdown, and given back") {
    jobs::client c = co_await jobs::connect("memory:");
    jobs::worker w{"memory:", {.concurrency = 1}};
    w.add("stubborn", []() -> task<> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_await sleep_for(1h);
    }, {.soft_time_limit = 1s});
    co_await c.send("stubborn");
    const auto start = loop_clock::now();
    const auto all = [&](task_group& g) -> task<> {
        auto serving = g.spawn(w.serve());
        co_await sleep_for(3s);
        w.stop();
        co_await serving;
    };
    co_await with_task_group(all);
    CHECK(loop_clock::now() - start < 10s);
}

EDDY_TEST("JOB-69 a rejected job that asks to be queued again is a dead letter in the end") {
    int runs = 0;
    jobs::worker w{"memory:", {.max_deliveries = 3}};
    w.add("no", [&]() -> task<> {
        ++runs;
        throw jobs::reject("not here", true);
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        co_await c.send("no");
        co_await sleep_for(5s);
        const auto letters = co_await c.dead_letters();
        REQUIRE(letters.size() == 1);
        CHECK(letters[0].reason == "given out 3 times and rejected: not here");
    };
    co_await while_serving(w, body);
    CHECK(runs == 3);
}

EDDY_TEST("JOB-70 jobs that wait for their rate keep no other from a slot") {
    jobs::worker w{"memory:", {.concurrency = 1, .prefetch = 10}};
    w.add("slow", []() -> task<> { co_return; }, {.rate_limit = 0.01});
    w.add("quick", []() -> task<int> { co_return 1; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        for (int i = 0; i < 3; ++i) co_await c.send("slow");
        const auto start = loop_clock::now();
        co_await c.call<int>("quick");
        CHECK(loop_clock::now() - start < 10s);
        co_await c.purge();
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-72 putting off is tried again when its reply was lost, and the job runs once, at its time") {
    faulty_worker w({.concurrency = 1, .prefetch = 1});
    int runs = 0;
    w.add("work", [&]() -> task<int> { co_return ++runs; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        int steps = 0;
        w.broker->before = [&](std::string_view step) {
            if (step == "put_off" && ++steps == 1) throw jobs::error("the connection is lost");
        };
        w.broker->after = [&](std::string_view step) {
            if (step == "put_off" && ++steps == 3) throw jobs::error("the connection is lost");
        };
        const auto start = loop_clock::now();
        const int once = co_await c.call<int>("work", {.countdown = 20min});
        CHECK(once == 1);
        CHECK(loop_clock::now() - start >= 20min);
        co_await sleep_for(1h);
        CHECK(steps == 5);
    };
    co_await w.serve_while(body);
    CHECK(runs == 1);
    CHECK(w.reports == "jobs: a job could not be put off; it is tried again\n");
}

EDDY_TEST("JOB-71 two messages with one tag both run") {
    int runs = 0;
    jobs::client c = co_await jobs::connect("memory:");
    const auto b = c.core()->broker;
    jobs::worker w{"memory:", {.concurrency = 2}};
    w.add("work", [&]() -> task<> {
        ++runs;
        co_await sleep_for(1s);
    });
    jobs::detail::message m;
    m.task = "work";
    m.queue = "celery";
    m.tag = "same";
    const std::vector<std::string> ids{"one", "two"};
    for (const std::string& id : ids) {
        m.id = id;
        jobs::detail::outgoing o("celery", 0, m.tag, jobs::detail::encode_message(m));
        co_await b->enqueue(std::move(o));
    }
    int reports = 0;
    this_loop().set_exception_handler([&](const error_context&) { ++reports; });
    const auto body = [&]() -> task<> {
        co_await c.result("one");
        co_await c.result("two");
    };
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(runs == 2);
    CHECK(reports == 1);
}

EDDY_TEST("JOB-140 acknowledged early, a job does not run before it is acknowledged") {
    faulty_worker w({.visibility_timeout = 5s, .sweep = 1s});
    std::string log;
    const auto start = loop_clock::now();
    w.add("work", [&](jobs::context& job) -> task<> {
        log += job.redelivered() ? "again " : "first ";
        log += loop_clock::now() - start >= 6s ? "later" : "too early";
        co_return;
    }, {.acks_early = true});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        w.broker->before = [&](std::string_view step) {
            if (step == "acknowledge" && loop_clock::now() - start < 6s) throw jobs::error("the broker is away");
        };
        co_await c.call("work");
    };
    co_await w.serve_while(body);
    CHECK(log == "again later");
    CHECK(w.reports == "jobs: a job could not be acknowledged; it is tried again\n");
}

EDDY_TEST("JOB-152 acknowledged early, a job whose claim may be another worker's by now does not run") {
    faulty_worker w({.concurrency = 1, .prefetch = 2, .visibility_timeout = 9s, .sweep = 1h});
    jobs::worker other("memory:", {.visibility_timeout = 9s, .sweep = 1s});
    std::vector<std::string> log;
    event begun, turn;
    w.add("first", [&]() -> task<> {
        begun.set();
        co_await turn.wait();
    });
    w.add("work", [&]() -> task<> {
        log.emplace_back("here");
        co_return;
    }, {.acks_early = true});
    other.add("first", [] {});
    other.add("work", [&](jobs::context& job) -> task<> {
        log.emplace_back(job.redelivered() ? "there again" : "there");
        co_return;
    }, {.acks_early = true});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        w.broker->before = [&](std::string_view step) {
            if (step == "refresh") throw jobs::error("the broker is away");
        };
        co_await c.send("first");
        co_await begun.wait(); // and has the only slot
        const std::string id = co_await c.send("work");
        while (w.core->counts.received < 2) co_await this_task::yield();
        const auto meanwhile = [&]() -> task<> { co_await c.result(id); };
        co_await while_serving(other, meanwhile);
        w.broker->before = [](std::string_view) {};
        co_await sleep_for(6s); // claims are renewed again: it was too late for these
        turn.set();
        co_await sleep_for(1s);
    };
    co_await w.serve_while(body);
    CHECK(log == std::vector<std::string>{"there again"});
}

EDDY_TEST("JOB-159 a task that ignores its results stores nothing on the way either") {
    jobs::worker w{"memory:", {.track_started = true}};
    int runs = 0;
    w.add("quiet", [&](jobs::context& job) -> task<> {
        job.progress(json(1));
        co_await sleep_for(1s);
        if (++runs == 1) job.retry(5s);
    }, {.ignore_result = true});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string id = co_await c.send("quiet");
        while (runs < 2) {
            const jobs::job_status s = co_await c.status(id);
            CHECK(s.state == "PENDING");
            co_await sleep_for(500ms);
        }
        co_await sleep_for(1s);
        const jobs::job_status s = co_await c.status(id);
        CHECK(s.state == "PENDING");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-160 remote control reaches those whose name fits the pattern, and no others") {
    jobs::worker w{"memory:", {.name = "web1@here"}};
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto shut_down = [&](const char* pattern, const char* matcher) -> task<> {
            json m = jobs::detail::control_message("shutdown", json::object(), {}, "", "");
            m["pattern"] = pattern;
            m["matcher"] = matcher;
            co_await c.core()->broker->broadcast(jobs::detail::control_envelope(m, 60s));
            co_await sleep_for(1s);
        };
        co_await shut_down("job*", "glob");
        co_await shut_down("eb1", "pcre");
        co_await shut_down("(", "pcre");
        CHECK(w.ready());
        co_await shut_down("web[0-9]@*", "glob");
        CHECK(!w.ready());
    };
    co_await while_serving(w, body);
    jobs::worker again{"memory:", {.name = "web1@here"}};
    const auto by_expression = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        json m = jobs::detail::control_message("shutdown", json::object(), {}, "", "");
        m["pattern"] = "web\\d";
        m["matcher"] = "pcre";
        co_await c.core()->broker->broadcast(jobs::detail::control_envelope(m, 60s));
        co_await sleep_for(1s);
        CHECK(!again.ready());
    };
    co_await while_serving(again, by_expression);
}

EDDY_TEST("JOB-174 a worker that could not renew a claim, and is given its own job again, runs it once") {
    faulty_worker w({.visibility_timeout = 6s, .sweep = 1s});
    int runs = 0;
    w.add("work", [&]() -> task<int> {
        ++runs;
        co_await sleep_for(20s);
        co_return 7;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto start = loop_clock::now();
        w.broker->before = [&](std::string_view step) {
            if (step == "refresh" && loop_clock::now() - start < 10s) throw jobs::error("the broker is away");
        };
        const int v = co_await c.call<int>("work");
        CHECK(v == 7);
        co_await sleep_for(30s); // nothing comes after it
        const std::size_t left = co_await c.queued();
        CHECK(left == 0);
    };
    co_await w.serve_while(body);
    CHECK(runs == 1);
    CHECK(w.core->counts.restored >= 1);
}
