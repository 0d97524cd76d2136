// Jobs whose time is far away: they stay in the broker, take up no room in a worker, and run at their time.
#include "jobs/support.hpp"

#include "../../io/jobs/src/client_core.hpp"

using namespace jobs_tests;

namespace {

jobs::worker_options small_worker() {
    return {.concurrency = 1, .prefetch = 2, .poll = 5s};
}

} // namespace

EDDY_TEST("JOB-110 jobs for later fill no worker's prefetch: what is due goes on, and they run at their time") {
    const job_file f;
    const std::vector<std::string> urls{"memory:", f.url()};
    for (const std::string& url : urls) {
        std::string log;
        jobs::client c = co_await jobs::connect(url);
        jobs::worker w{url, small_worker()};
        const auto start = loop_clock::now();
        w.add("note", [&](jobs::context& job, std::string text) -> task<> {
            const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(loop_clock::now() - start).count();
            log += text + "@" + std::to_string(minutes) + (job.redelivered() ? "! " : " ");
            co_return;
        });
        const auto body = [&]() -> task<> {
            const std::vector<std::string> names{"a", "b", "c", "d", "e", "f"};
            for (const std::string& name : names) co_await c.send("note", {.countdown = 20min}, name);
            co_await c.call("note", "now");
            CHECK(loop_clock::now() - start < 30s);
            co_await sleep_for(30s);
            CHECK(w.stats().put_off == 6);
            CHECK(w.stats().scheduled == 0);
            const auto waiting = co_await c.queued();
            CHECK(waiting == 0); // nor does another worker claim them in vain
            co_await sleep_for(18min);
            CHECK(w.stats().scheduled == 6); // some time before, they are back
            CHECK(log == "now@0 ");
            co_await sleep_for(2min);
        };
        co_await while_serving(w, body);
        CHECK(log.size() == std::string("now@0 a@20 b@20 c@20 d@20 e@20 f@20 ").size());
        for (const char* one : {"a@20 ", "b@20 ", "c@20 ", "d@20 ", "e@20 ", "f@20 "}) CHECK(log.find(one) != std::string::npos);
        CHECK(w.stats().restored == 0);
        CHECK(w.stats().succeeded == 7);
    }
}

EDDY_TEST("JOB-111 what a worker put off outlives it: another one runs it, at its time and unmarked") {
    const job_file f;
    const std::vector<std::string> urls{"memory:", f.url()};
    for (const std::string& url : urls) {
        jobs::client c = co_await jobs::connect(url);
        const auto start = loop_clock::now();
        {
            jobs::worker killed{url, small_worker()};
            killed.add("work", []() -> task<> { co_return; });
            const auto body = [&]() -> task<> {
                co_await c.send("work", {.id = "late", .countdown = 30min});
                while (killed.stats().put_off == 0) co_await sleep_for(1s);
            };
            co_await while_serving(killed, body);
        }
        co_await sleep_for(2min);
        jobs::worker w{url, small_worker()};
        w.add("work", [](jobs::context& job) -> task<bool> { co_return job.redelivered(); });
        const auto body = [&]() -> task<> {
            const bool redelivered = co_await c.result<bool>("late");
            CHECK_FALSE(redelivered);
            const auto passed = loop_clock::now() - start;
            CHECK(passed >= 30min);
            CHECK(passed < 30min + 10s);
        };
        co_await while_serving(w, body);
    }
}

EDDY_TEST("JOB-112 a broker keeps what was put off until then: it is no expired claim, is not refreshed, and the first comes back first") {
    const job_file f;
    const std::vector<std::string> urls{"memory:", f.url()};
    for (const std::string& url : urls) {
        jobs::client c = co_await jobs::connect(url);
        const auto b = c.core()->broker;
        co_await c.send("work", {.id = "second"});
        co_await c.send("work", {.id = "first"});
        const std::vector<std::string> queues(1, "celery");
        const auto claimed = co_await b->claim(queues, 2);
        REQUIRE(claimed.size() == 2);
        const bool one = co_await b->put_off(claimed[0].tag, 20min), other = co_await b->put_off(claimed[1].tag, 10min);
        CHECK(one);
        CHECK(other);
        std::vector<std::string> tags{claimed[0].tag, claimed[1].tag};
        co_await b->refresh(tags);
        co_await sleep_for(5min);
        auto restored = co_await b->restore(1min, 10);
        auto waiting = co_await c.queued();
        CHECK(restored == 0);
        CHECK(waiting == 0);
        co_await sleep_for(6min);
        restored = co_await b->restore(1min, 10);
        waiting = co_await c.queued();
        CHECK(restored == 0);
        CHECK(waiting == 1);
        const auto first = co_await b->claim(queues, 2);
        REQUIRE(first.size() == 1);
        CHECK(b->read(first[0]).id == "first");
        CHECK(b->read(first[0]).deliveries == 0);
        co_await b->give_back(first[0].tag, std::nullopt);
        co_await sleep_for(10min);
        restored = co_await b->restore(1min, 10);
        const auto both = co_await b->claim(queues, 2);
        CHECK(restored == 0);
        CHECK(both.size() == 2);
    }
}

EDDY_TEST("JOB-113 jobs that wait for their rate fill no prefetch either, and lose no turn") {
    jobs::worker w{"memory:", small_worker()};
    std::vector<loop_clock::time_point> starts;
    w.add("slow", [&]() -> task<> {
        starts.push_back(loop_clock::now());
        co_return;
    }, {.rate_limit = 0.1});
    w.add("quick", []() -> task<int> { co_return 1; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        for (int i = 0; i < 50; ++i) co_await c.send("slow");
        const auto start = loop_clock::now();
        co_await c.call<int>("quick");
        CHECK(loop_clock::now() - start < 1s);
        CHECK(w.stats().put_off > 30);
        co_await sleep_for(10min);
    };
    co_await while_serving(w, body);
    REQUIRE(starts.size() == 50);
    for (std::size_t i = 1; i < starts.size(); ++i) CHECK(starts[i] - starts[i - 1] >= 9999ms);
    CHECK(starts.back() - starts.front() < 49 * 10s + 5s);
}

EDDY_TEST("JOB-114 put off, a job that is revoked meanwhile does not run") {
    jobs::worker w{"memory:", small_worker()};
    int runs = 0;
    w.add("work", [&]() -> task<> {
        ++runs;
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const std::string id = co_await c.send("work", {.countdown = 1h});
        co_await sleep_for(1min);
        co_await c.revoke(id);
        const std::string ending = co_await ending_of(c, id);
        CHECK(ending == "the job was revoked: revoked");
    };
    co_await while_serving(w, body);
    CHECK(runs == 0);
}
