#include <eddy/jobs.hpp>

#include <eddy/background.hpp>
#include <eddy/progress.hpp>
#include <eddy/testing.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include "jobs/faulty_broker.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

int doubled_at_worker(int x) {
    return 2 * x;
}
int refuses_at_worker(int x) {
    if (x < 0) throw std::runtime_error("negative");
    return x;
}
task<int> waits_at_worker(int x) {
    co_await sleep_for(1h);
    co_return x;
}
task<int> tells_at_worker(int x) {
    for (int i = 1; i <= x; ++i) {
        report_progress(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(x), "page");
        co_await sleep_for(10s);
    }
    co_return x;
}

/// A worker with these tasks, in a group of the test.
task<> serve_tasks(jobs::worker& w) {
    w.add("doubled", doubled_at_worker);
    w.add("refuses", refuses_at_worker);
    w.add("waits", waits_at_worker);
    w.add("tells", tells_at_worker);
    co_await w.serve();
}

} // namespace

EDDY_TEST("on_jobs: background sends a job and waits for its value, or its failure") {
    jobs::worker w("memory:on_jobs");
    auto serving = spawn(serve_tasks(w));
    jobs::client c = co_await jobs::connect("memory:on_jobs");
    auto six = co_await background(jobs::on_jobs(c, "doubled"), doubled_at_worker, 3);
    CHECK(six == 6);
    std::vector<int> items{1, 2, 3};
    auto all = co_await background_map(jobs::on_jobs(c, "doubled"), {.in_flight = 2}, doubled_at_worker, items);
    CHECK(all == std::vector<int>{2, 4, 6});
    auto failing = background(jobs::on_jobs(c, "refuses"), refuses_at_worker, -1);
    const auto o = co_await as_result(std::move(failing));
    CHECK(words::holds<jobs::task_failed>(o.exception()));
    co_await serving.cancel_and_join();
}

EDDY_TEST("on_jobs: how its jobs are sent goes with the scale, and is copied") {
    jobs::worker w("memory:on_jobs", {.queues = {"large"}});
    jobs::json seen;
    w.add("look", [&](jobs::context& job, jobs::arguments a) -> task<int> {
        seen = {job.queue(), job.headers()["color"], a.positional, a.named};
        co_return 7;
    });
    int followed = 0;
    w.add("follow", [&](int n) -> task<> {
        followed = n;
        co_return;
    });
    auto serving = spawn(w.serve());
    jobs::client c = co_await jobs::connect("memory:on_jobs", {.queue = "large"});
    const auto looks = [](int) { return 0; };
    const auto scale = [&] {
        const std::string queue = "large";
        const jobs::json headers = {{"color", "red"}}, named = {{"y", 2}};
        const jobs::signature next("follow");
        return jobs::on_jobs(c, "look", {.queue = queue, .priority = 9, .countdown = 30s, .named = &named, .headers = &headers, .on_success = &next});
    }();
    const auto start = loop_clock::now();
    const int seven = co_await background(scale, looks, 1);
    CHECK(seven == 7);
    CHECK(loop_clock::now() - start >= 30s);
    CHECK(seen.dump() == R"(["large","red",[1],{"y":2}])");
    co_await sleep_for(1s);
    CHECK(followed == 7);
    std::vector<int> items{1, 2};
    const auto all = co_await background_map(scale, looks, items);
    CHECK(all == std::vector<int>{7, 7});
    CHECK(loop_clock::now() - start >= 60s);
    auto late = background(jobs::on_jobs(c, "look", {.countdown = 10s, .expires = 5s}), looks, 1);
    const auto o = co_await as_result(std::move(late));
    CHECK(words::holds<jobs::task_revoked>(o.exception()));
    CHECK_THROWS_AS(jobs::on_jobs(c, "look", {.id = "one"}), std::invalid_argument);
    CHECK_THROWS_AS(jobs::on_jobs(c, "look", {.ignore_result = true}), std::invalid_argument);
    co_await serving.cancel_and_join();
}

EDDY_TEST("on_jobs: background_map_outcomes has the value or the failure of each") {
    jobs::worker w("memory:on_jobs");
    auto serving = spawn(serve_tasks(w));
    jobs::client c = co_await jobs::connect("memory:on_jobs");
    std::vector<int> items{1, -1, 2};
    const auto ends = co_await background_map_outcomes(jobs::on_jobs(c, "refuses"), refuses_at_worker, items);
    REQUIRE(ends.size() == 3);
    CHECK(ends[0].value() == 1);
    CHECK(words::holds<jobs::task_failed>(ends[1].exception()));
    CHECK(ends[2].value() == 2);
    co_await serving.cancel_and_join();
}

EDDY_TEST("on_jobs: a job that takes too long is terminated at its worker") {
    jobs::worker w("memory:on_jobs");
    auto serving = spawn(serve_tasks(w));
    jobs::client c = co_await jobs::connect("memory:on_jobs");
    const auto start = loop_clock::now();
    auto slow = background(jobs::on_jobs(c, "waits"), {.timeout = 5s}, waits_at_worker, 1);
    const auto o = co_await as_result(std::move(slow));
    CHECK(words::holds<timeout_error>(o.exception()));
    co_await sleep_for(1s);
    const jobs::json active = co_await c.control("active", jobs::json::object(), {}, 1s, 1);
    REQUIRE(active.size() == 1);
    CHECK(active.begin()->empty());
    CHECK(loop_clock::now() - start < 1min);
    co_await serving.cancel_and_join();
}

EDDY_TEST("on_jobs: what a job tells of its progress reaches the caller") {
    jobs::worker w("memory:on_jobs");
    auto serving = spawn(serve_tasks(w));
    jobs::client c = co_await jobs::connect("memory:on_jobs");
    std::string heard;
    progress_listener listener([&](const eddy::progress_report& p) { heard += std::to_string(p.done) + "/" + std::to_string(p.total) + " " + p.text + ";"; });
    const auto listening = listener.listen();
    auto three = co_await background(jobs::on_jobs(c, "tells"), tells_at_worker, 3);
    CHECK(three == 3);
    CHECK(heard == "1/3 page;2/3 page;3/3 page;");
    co_await serving.cancel_and_join();
}

EDDY_TEST("JOB-164 on_jobs: when the waiting fails, the job is withdrawn, and no other one runs beside it") {
    jobs::worker w("memory:on_jobs");
    int running = 0, most = 0, ended = 0;
    w.add("waits", [&](int x) -> task<int> {
        most = std::max(most, ++running);
        try {
            co_await sleep_for(x == 1 ? 1h : 1s);
        } catch (const operation_cancelled&) {
            --running;
            ++ended;
            throw;
        }
        --running;
        co_return x;
    });
    auto serving = spawn(w.serve());
    jobs::client real = co_await jobs::connect("memory:on_jobs");
    const auto broker = std::make_shared<jobs_tests::faulty_broker>(real.core()->broker);
    jobs::client c = jobs_tests::client_of(broker);
    broker->after = [&](std::string_view step) {
        if (step == "wait_final") throw jobs::error("the connection is lost");
    };
    auto call = background(jobs::on_jobs(c, "waits"), waits_at_worker, 2);
    const auto lost = co_await as_result(std::move(call));
    CHECK(words::holds<jobs::error>(lost.exception()));
    broker->after = [](std::string_view) {};
    int failures = 0;
    broker->before = [&](std::string_view step) {
        if (step == "wait_final" && ++failures == 1) throw jobs::error("the connection is lost");
    };
    auto again = background(jobs::on_jobs(c, "waits"), {.retry = retry_policy{.attempts = 2, .first_delay = 2s}, .timeout = 10s}, waits_at_worker, 1);
    const auto o = co_await as_result(std::move(again));
    CHECK(words::holds<timeout_error>(o.exception()));
    co_await sleep_for(1s);
    CHECK(most == 1);
    CHECK(running == 0);
    CHECK(ended >= 1); // the last one; the one before may not have begun
    co_await serving.cancel_and_join();
}
