// A function whose first parameter is a std::stop_token is the same at every scale.
#include "jobs/support.hpp"

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stop_token>

#include <eddy/background.hpp>

using namespace jobs_tests;

namespace {

int pages_until_stopped(std::stop_token stop, int pages) {
    return stop.stop_requested() ? -1 : pages;
}

} // namespace

EDDY_TEST("JOB-148 a first parameter std::stop_token is the job's: for functions and coroutines, and no argument") {
    jobs::worker w{"memory:"};
    w.add("pages", pages_until_stopped, {.parameters = {"pages"}});
    w.add("waits", [](std::stop_token stop) -> task<std::string> {
        try {
            co_await sleep_for(1h);
        } catch (const operation_cancelled&) {
        }
        co_return stop.stop_requested() ? "stopped" : "not asked";
    });
    std::promise<void> told;
    std::atomic<bool> started{false};
    w.add("thread", [&](const std::stop_token& stop) {
        started = true;
        std::mutex m;
        std::condition_variable_any waiting;
        std::unique_lock lock(m);
        waiting.wait(lock, stop, [] { return false; });
        told.set_value();
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const int three = co_await c.call<int>("pages", 3);
        CHECK(three == 3);
        const json named = json::parse(R"({"pages": 4})");
        const int four = co_await c.call<int>("pages", {.named = &named});
        CHECK(four == 4);
        const auto many = co_await ending_of(c, co_await c.send("pages", 1, 2));
        CHECK(many == "TypeError: pages() takes 1 argument but 2 were given");
        const auto coroutine = co_await c.call<std::string>("waits", {.soft_time_limit = 1s});
        CHECK(coroutine == "stopped");
        const std::string id = co_await c.send("thread");
        while (!started) co_await this_task::yield();
        co_await c.revoke(id, {.terminate = true});
        const auto thread = co_await ending_of(c, id);
        CHECK(thread == "the job was revoked: terminated");
        told.get_future().wait(); // not for ever: it was told
        const int as_a_job = co_await background(jobs::on_jobs(c, "pages"), pages_until_stopped, 5);
        CHECK(as_a_job == 5);
        const int on_a_thread = co_await background(on_pool(), pages_until_stopped, 6);
        CHECK(on_a_thread == 6);
    };
    co_await while_serving(w, body);
}
