#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("O-12 in_loop runs a function on the loop's thread and gives its value to the worker") {
    const auto loop_thread_id = std::this_thread::get_id();
    std::thread::id seen;
    int calls = 0;
    const int v = co_await offload([&] {
        in_loop([&] { ++calls; });
        return in_loop([&] {
            seen = std::this_thread::get_id();
            return 42;
        });
    });
    CHECK(v == 42);
    CHECK(calls == 1);
    CHECK(seen == loop_thread_id);
}

EDDY_TEST("O-12 in_loop runs a task to its end; virtual time passes meanwhile") {
    const auto start = loop_clock::now();
    const int v = co_await offload([] {
        return in_loop([]() -> task<int> {
            co_await sleep_for(1h);
            co_return 5;
        });
    });
    CHECK(v == 5);
    CHECK(loop_clock::now() - start == 1h);
}

EDDY_TEST("O-12 errors come out on the worker") {
    const auto r = co_await as_result(offload([] {
        const std::string plain = words::of_call([] { return in_loop([]() -> int { throw std::runtime_error("plain"); }); });
        const std::string task_s = words::of_call([] {
            return in_loop([]() -> task<int> {
                co_await this_task::yield();
                throw std::runtime_error("task's");
            });
        });
        return plain + " " + task_s;
    }));
    CHECK(r.value() == "plain task's");
}

EDDY_TEST("O-12 with the host cancelled a plain function still runs, and a task's checkpoint throws") {
    std::string log;
    std::atomic<bool> running{false};
    auto h = spawn([&]() -> task<> {
        co_await offload([&](std::stop_token st) {
            running = true;
            while (!st.stop_requested()) std::this_thread::yield();
            in_loop([&] { log += "plain "; });
            try {
                in_loop([&]() -> task<> {
                    log += "task ";
                    co_await sleep_for(1h);
                    log += "not reached ";
                });
            } catch (const operation_cancelled&) {
                log += "cancelled ";
                throw;
            }
        });
    });
    while (!running) co_await this_task::yield();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(log == "plain task cancelled ");
}

EDDY_TEST("O-13 all workers wait for the loop, and the loop for a call on that pool: it is reported") {
    std::vector<std::string> reports;
    worker_pool pool(1);
    task_handle<> h;
    this_loop().set_exception_handler([&](const error_context& e) {
        reports.emplace_back(e.message);
        h.cancel();
    });
    bool inner_ran = false;
    h = spawn([&]() -> task<> {
        co_await offload(pool, [&] { in_loop([&]() -> task<> { co_await offload(pool, [&] { inner_ran = true; }); }); });
    });
    co_await h.join();
    this_loop().set_exception_handler({});
    CHECK_FALSE(inner_ran);
    CHECK(h.cancelled());
    CHECK(reports.size() == 1);
    CHECK(reports.front().find("all workers wait on the loop") == 0);
}

EDDY_TEST("in_loop says where it belongs") {
    const std::string here = words::of_call([] { return in_loop([] { return 1; }); });
    CHECK(here == "in_loop: this is the loop's thread; call the function itself, or co_await it");
    std::string elsewhere;
    std::thread([&] { elsewhere = words::of_call([] { return in_loop([] { return 1; }); }); }).join();
    CHECK(elsewhere.find("in_loop: this thread runs no offloaded function") == 0);
    co_return;
}

TEST_CASE("R13 in_loop of an abandoned function is refused once the loop shuts down") {
    std::string error;
    std::atomic<bool> running{false};
    run([](std::string& out, std::atomic<bool>& began) -> task<> {
        spawn([&]() -> task<> {
            co_await offload(abandon, [&](std::stop_token st) {
                began = true;
                while (!st.stop_requested()) std::this_thread::yield();
                out = words::of_call([] {
                    for (;;) in_loop([] {}); // some may still get through
                    return 0;
                });
            });
        });
        while (!began) co_await this_task::yield();
    }(error, running));
    CHECK(error == "in_loop: the loop, or the worker's pool, is shutting down");
}

EDDY_TEST("a hundred workers' worth of in_loop calls, none lost") {
    worker_pool pool(4);
    int sum = 0;
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < 100; ++i)
            g.spawn([&]() -> task<> {
                co_await offload(pool, [&] {
                    for (int k = 0; k < 10; ++k) in_loop([&] { ++sum; });
                });
            });
        co_return;
    });
    CHECK(sum == 1000);
}

EDDY_TEST("O-03 in_loop sees the worker's task-locals; what it sets stays with it") {
    static task_local<int> user{0};
    user.set(7);
    int seen = 0;
    int after = 0;
    co_await offload([&] {
        in_loop([&] {
            seen = user.get();
            user.set(99);
        });
        after = in_loop([]() -> task<int> { co_return user.get(); });
    });
    CHECK(seen == 7);
    CHECK(after == 7);
    CHECK(user.get() == 7);
}
