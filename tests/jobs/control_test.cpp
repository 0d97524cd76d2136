// Remote control: what `celery control` and `celery inspect` ask of a worker.
#include "jobs/support.hpp"

#include <algorithm>
#include <unistd.h>

using namespace jobs_tests;

namespace {

/// What one worker answers.
task<std::string> answer_of(jobs::client& c, std::string method, const char* arguments = "{}") {
    const json answers = co_await c.control(std::move(method), json::parse(arguments), {}, 60s, 1);
    co_return answers.contains("one@here") ? answers["one@here"].dump() : "no answer";
}

} // namespace

EDDY_TEST("JOB-170 remote control: the limits of a task, which hold from then on") {
    jobs::worker w{"memory:", {.name = "one@here", .concurrency = 4}};
    w.add("work", [](int seconds) -> task<> { co_await sleep_for(std::chrono::seconds(seconds)); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string limits = co_await answer_of(c, "time_limit", R"({"task_name": "work", "hard": 20, "soft": 5})");
        CHECK(limits == R"({"ok":"time limits set successfully"})");
        const std::string soft = co_await ending_of(c, co_await c.send("work", 10));
        CHECK(soft == "SoftTimeLimitExceeded: ");
        const std::string none = co_await answer_of(c, "time_limit", R"({"task_name": "nothing", "hard": 20})");
        CHECK(none == R"({"error":"unknown task"})");
        const std::string rate = co_await answer_of(c, "rate_limit", R"({"task_name": "work", "rate_limit": "6/m"})");
        CHECK(rate == R"({"ok":"new rate limit set successfully"})");
        const auto begin = loop_clock::now();
        std::vector<std::string> ids;
        for (int i = 0; i < 3; ++i) ids.push_back(co_await c.send("work", 0));
        co_await c.results(ids);
        CHECK(loop_clock::now() - begin >= 20s);
        const std::string wrong = co_await answer_of(c, "rate_limit", R"({"task_name": "work", "rate_limit": "often"})");
        CHECK(wrong == R"({"error":"Invalid rate limit string: \"often\""})");
        const std::string off = co_await answer_of(c, "rate_limit", R"({"task_name": "work", "rate_limit": 0})");
        CHECK(off == R"({"ok":"rate limit disabled successfully"})");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-171 remote control: a queue that is no longer consumed, a pool that shrinks, a question for a job") {
    jobs::worker w{"memory:", {.queues = {"celery", "other"}, .name = "one@here", .concurrency = 2}};
    int running = 0, most = 0;
    w.add("work", [&](int seconds) -> task<> {
        most = std::max(most, ++running);
        co_await sleep_for(std::chrono::seconds(seconds));
        --running;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string cancelled = co_await answer_of(c, "cancel_consumer", R"({"queue": "other"})");
        CHECK(cancelled == R"({"ok":"no longer consuming from other"})");
        co_await c.send("work", {.id = "there", .queue = "other"}, 1);
        co_await sleep_for(10s);
        const std::size_t left = co_await c.queued("other");
        CHECK(left == 1);
        const std::string queues = co_await answer_of(c, "active_queues");
        CHECK(queues.find("other") == queues.npos);
        const std::string all = co_await answer_of(c, "pool_shrink", R"({"n": 2})");
        CHECK(all == R"({"error":"the pool cannot shrink to nothing"})");
        const std::string shrunk = co_await answer_of(c, "pool_shrink", R"({"n": 1})");
        CHECK(shrunk == R"({"ok":"pool will shrink"})");
        std::vector<std::string> ids;
        ids.push_back(co_await c.send("work", {.id = "first"}, 10));
        ids.push_back(co_await c.send("work", {.id = "second"}, 10));
        while (running == 0) co_await this_task::yield();
        const std::string found = co_await answer_of(c, "query_task", R"({"ids": ["first", "second", "unknown"]})");
        CHECK(found.find("active") != found.npos);
        CHECK(found.find("unknown") == found.npos);
        co_await c.results(ids);
        CHECK(most == 1);
        co_await answer_of(c, "add_consumer", R"({"queue": "other"})");
        co_await c.result("there");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-172 remote control: a worker that starts hears what was revoked, and tells what it knows of that") {
    jobs::worker w{"memory:", {.name = "one@here"}};
    w.add("work", [] {});
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        co_await c.revoke("known");
        const std::string first = co_await answer_of(c, "hello", R"({"from_node": "two@there", "revoked": {"told": 17.5}})");
        CHECK(first.find(R"("revoked":{"known":0.0})") != first.npos);
        const std::string ending = co_await ending_of(c, co_await c.send("work", {.id = "told"}));
        CHECK(ending == "the job was revoked: revoked");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-173 track_started: whoever asks meanwhile hears that the job has started, where, and by which process") {
    jobs::worker w{"memory:", {.name = "one@here", .track_started = true}};
    event go;
    w.add("work", [&]() -> task<> { co_await go.wait(); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string id = co_await c.send("work");
        co_await sleep_for(1s);
        const jobs::job_status s = co_await c.status(id);
        CHECK(s.state == "STARTED");
        CHECK(s.result.value("hostname", "") == "one@here");
        CHECK(s.result.value("pid", 0) == ::getpid());
        go.set();
        co_await c.result(id);
    };
    co_await while_serving(w, body);
}
