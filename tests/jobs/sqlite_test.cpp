// The broker in a file: the same semantics, and what is in the file stays.
#include "jobs/support.hpp"

#include "../../io/jobs/src/client_core.hpp"

using namespace jobs_tests;
using jobs::signature;

EDDY_TEST("JOB-30 jobs wait in the file for a worker, in order and by priority") {
    const job_file f;
    {
        jobs::client c = co_await jobs::connect(f.url());
        co_await c.send("note", {.priority = 5}, "late");
        co_await c.send("note", "first");
        co_await c.send("note", "second");
    }
    std::string log;
    jobs::worker w{f.url(), {.concurrency = 1, .prefetch = 1}};
    w.add("note", [&](std::string text) -> task<> {
        log += text + " ";
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect(f.url());
        for (std::size_t left = 1; left > 0;) {
            left = co_await c.queued();
            co_await sleep_for(1s);
        }
    };
    co_await while_serving(w, body);
    CHECK(log == "first second late ");
}

EDDY_TEST("JOB-31 results, workflows, remote control and dead letters are in the file, too") {
    const job_file f;
    jobs::worker w{f.url(), {.name = "one@here"}};
    w.add("add", [](int a, int b) { return a + b; });
    w.add("sum", [](std::vector<int> all) {
        int n = 0;
        for (const int i : all) n += i;
        return n;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect(f.url());
        const int five = co_await c.call<int>("add", 2, 3);
        CHECK(five == 5);
        const auto chord = jobs::chord(jobs::group(signature("add", 1, 1), signature("add", 2, 2)), signature("sum"));
        const int six = co_await c.result<int>(co_await c.send(chord));
        CHECK(six == 6);
        const json pong = co_await c.control("ping", json::object(), {}, 1s, 1);
        CHECK(pong.dump() == R"({"one@here":{"ok":"pong"}})");
        const json bad = json::parse(R"({"compression": "x"})");
        co_await c.send("add", {.headers = &bad}, 1, 2);
        co_await sleep_for(1s);
        const auto letters = co_await c.dead_letters();
        REQUIRE(letters.size() == 1);
        const bool revived = co_await c.revive(letters[0].tag);
        CHECK(revived);
    };
    int reports = 0;
    this_loop().set_exception_handler([&](const error_context&) { ++reports; });
    co_await while_serving(w, body);
    this_loop().set_exception_handler({});
    CHECK(reports >= 1); // of the dead letter
}

EDDY_TEST("JOB-32 a claim whose worker is gone comes back when its lease is over, marked and once") {
    const job_file f;
    jobs::client c = co_await jobs::connect(f.url());
    co_await c.send("work", {.id = "one"});
    {   // A worker that was killed: its claim stays in the file.
        jobs::worker lost{f.url(), {.concurrency = 1, .visibility_timeout = 5s, .grace = 0s}};
        lost.add("work", []() -> task<> { co_await sleep_for(1h); }, {.acks_early = false});
        const auto all = [&](task_group& g) -> task<> {
            auto serving = g.spawn(lost.serve());
            co_await sleep_for(2s);
            lost.stop();
            co_await serving;
        };
        co_await with_task_group(all);
    }
    const auto back = co_await c.queued();
    CHECK(back == 1);
    jobs::worker w{f.url(), {.visibility_timeout = 5s}};
    w.add("work", [](jobs::context& job) -> task<bool> { co_return job.redelivered(); });
    const auto body = [&]() -> task<> {
        const auto redelivered = co_await c.result<bool>("one");
        CHECK_FALSE(redelivered); // given back in peace
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-33 a lock is one owner's until it ends") {
    const job_file f;
    const std::vector<std::string> urls{"memory:", f.url()};
    for (const std::string& url : urls) {
        jobs::client c = co_await jobs::connect(url);
        const bool ours = co_await c.lock("beat", "a", 10s);
        const bool theirs = co_await c.lock("beat", "b", 10s);
        const bool again = co_await c.lock("beat", "a", 10s);
        co_await sleep_for(11s);
        const bool later = co_await c.lock("beat", "b", 10s);
        CHECK(ours);
        CHECK_FALSE(theirs);
        CHECK(again);
        CHECK(later);
    }
}

EDDY_TEST("JOB-34 a file that cannot be used is an error that names it; so is a URL that is none") {
    std::string file, url;
    try {
        co_await jobs::connect("sqlite:/nowhere/at/all.db");
    } catch (const jobs::error& e) {
        file = e.what();
    }
    try {
        co_await jobs::connect("amqp://localhost");
    } catch (const jobs::error& e) {
        url = e.what();
    }
    CHECK(file == "jobs: the database /nowhere/at/all.db cannot be opened: unable to open database file");
    CHECK(url == "jobs: 'amqp:' is no broker: write memory:, sqlite:FILE or redis://HOST:PORT/DATABASE");
}

EDDY_TEST("JOB-35 what was claimed when its program ended comes back from the file, once, marked and in order; what was acknowledged does not") {
    const job_file f;
    {
        jobs::client c = co_await jobs::connect(f.url());
        const auto b = c.core()->broker;
        const std::vector<std::string> names{"a", "b", "c", "d"};
        for (const std::string& name : names) co_await c.send("note", name);
        const std::vector<std::string> queues(1, "celery");
        const auto claimed = co_await b->claim(queues, 3);
        REQUIRE(claimed.size() == 3);
        co_await b->acknowledge(claimed[1].tag);
    } // nobody has the file open any more, as after a crash
    std::string log;
    jobs::worker w{f.url(), {.concurrency = 1, .prefetch = 1, .visibility_timeout = 30s, .sweep = 5s, .poll = 1s}};
    w.add("note", [&](jobs::context& job, std::string text) -> task<> {
        log += text + (job.redelivered() ? "! " : " ");
        co_return;
    });
    const auto body = [&]() -> task<> {
        co_await sleep_for(20s);
        CHECK(log == "d ");
        co_await sleep_for(5min);
        CHECK(log == "d a! c! ");
    };
    co_await while_serving(w, body);
    CHECK(w.stats().restored == 2);
}

EDDY_TEST("JOB-36 dead letters stay in the file, the oldest first, and each is revived once, to its queue and priority") {
    const job_file f;
    {
        jobs::client c = co_await jobs::connect(f.url());
        const auto b = c.core()->broker;
        co_await b->enqueue(jobs::detail::outgoing("celery", 0, "t1", "no message"));
        co_await b->enqueue(jobs::detail::outgoing("other", 9, "t2", "none either"));
        const std::vector<std::string> queues{"celery", "other"};
        const auto claimed = co_await b->claim(queues, 2);
        REQUIRE(claimed.size() == 2);
        for (const auto& d : claimed) {
            jobs::dead_letter letter(d.tag, d.queue, "because of " + d.tag, d.payload);
            co_await b->bury(std::move(letter));
        }
    }
    jobs::client c = co_await jobs::connect(f.url());
    const auto first = co_await c.dead_letters(1);
    REQUIRE(first.size() == 1);
    CHECK(first[0].tag == "t1");
    CHECK(first[0].reason == "because of t1");
    CHECK(first[0].payload == "no message");
    const auto all = co_await c.dead_letters();
    CHECK(all.size() == 2);
    const bool revived = co_await c.revive("t2"), again = co_await c.revive("t2"), unknown = co_await c.revive("t3");
    CHECK(revived);
    CHECK_FALSE(again);
    CHECK_FALSE(unknown);
    const auto there = co_await c.queued("other");
    const auto left = co_await c.dead_letters();
    CHECK(there == 1);
    CHECK(left.size() == 1);
    const auto restored = co_await c.core()->broker->restore(0s, 10); // they are no claims
    CHECK(restored == 0);
}

EDDY_TEST("JOB-37 a job that is given out too often, and never finished, is a dead letter of the file") {
    const job_file f;
    jobs::client c = co_await jobs::connect(f.url());
    const auto b = c.core()->broker;
    const std::vector<std::string> queues(1, "celery");
    co_await c.send("work");
    for (int i = 1; i <= 3; ++i) {
        const auto claimed = co_await b->claim(queues, 1);
        REQUIRE(claimed.size() == 1);
        const auto early = co_await b->restore(10s, 3);
        CHECK(early == 0);
        co_await sleep_for(11s);
        const auto restored = co_await b->restore(10s, 3);
        CHECK(restored == 1);
    }
    const auto left = co_await c.queued();
    const auto letters = co_await c.dead_letters();
    CHECK(left == 0);
    REQUIRE(letters.size() == 1);
    CHECK(letters[0].reason == "given out 3 times and never finished");
}

EDDY_TEST_REAL("JOB-161 SQLite: who asks the workers while somebody else does, hears all answers") {
    const job_file file;
    jobs::worker w{file.url(), {.name = "one@here", .poll = 5ms}};
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect(file.url(), {.poll = 5ms});
        for (int i = 0; i < 5; ++i) {
            std::vector<task<json>> all;
            for (int k = 0; k < 4; ++k) all.push_back(c.control("ping", json::object(), {}, 60s, 1));
            const std::vector<json> answers = co_await gather(std::move(all));
            for (const json& a : answers) CHECK(a.dump() == R"({"one@here":{"ok":"pong"}})");
        }
    };
    co_await while_serving(w, body);
}
