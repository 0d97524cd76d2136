#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <atomic>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

int twice(int x) {
    return 2 * x;
}

/// A worker function that is held until the test lets it go.
class gate {
public:
    void wait() { latch_.wait(); }
    void open() { latch_.count_down(); }

private:
    std::latch latch_{1};
};

/// Spins on the worker until stop is requested on its token.
void until_stopped(std::stop_token st) {
    while (!st.stop_requested()) std::this_thread::yield();
}

} // namespace

EDDY_TEST("O-01 the function runs on another thread, its value arrives on the loop's") {
    const auto here = std::this_thread::get_id();
    const auto there = co_await offload([] { return std::this_thread::get_id(); });
    CHECK(there != here);
    CHECK(std::this_thread::get_id() == here);
    const int v = co_await offload(twice, 21);
    CHECK(v == 42);
}

EDDY_TEST("O-02 what the function throws is thrown at the await") {
    const auto r = co_await as_result(offload([]() -> int { throw std::runtime_error("X"); }));
    CHECK(words::of(r) == "X");
    const auto c = co_await as_result(offload([]() -> int { throw operation_cancelled(); }));
    CHECK(words::of(c) == "an offloaded function threw operation_cancelled, but nobody had cancelled it");
}

EDDY_TEST("arguments are moved in; results may be void, references and move-only") {
    static int global = 0;
    global = 0; // each engine runs it
    auto op = offload([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5));
    const std::unique_ptr<int> p = co_await op;
    co_await offload([] { ++global; });
    int& r = co_await offload([]() -> int& { return global; });
    CHECK(*p == 5);
    CHECK(&r == &global);
    CHECK(global == 1);
}

EDDY_TEST("O-04 a call that runs when its task is cancelled is waited for: its value is returned, the next checkpoint throws") {
    gate g;
    std::atomic<bool> running{false};
    std::string log;
    auto h = spawn([&]() -> task<> {
        const int v = co_await offload([&] {
            running = true;
            g.wait();
            return 7;
        });
        log += std::to_string(v);
        co_await this_task::checkpoint();
        log += " not reached";
    });
    while (!running) co_await this_task::yield();
    h.cancel();
    for (int i = 0; i < 10; ++i) co_await this_task::yield();
    CHECK_FALSE(h.done());
    g.open();
    co_await h.join();
    CHECK(log == "7");
    CHECK(h.cancelled());
}

EDDY_TEST("O-04 a function that sees stop_requested may throw operation_cancelled: the await ends cancelled") {
    std::atomic<bool> running{false};
    auto h = spawn([&]() -> task<> {
        co_await offload([&](std::stop_token st) {
            running = true;
            until_stopped(st);
            throw operation_cancelled();
        });
    });
    while (!running) co_await this_task::yield();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
}

EDDY_TEST("O-04 a function that sees stop_requested may return early with what it has") {
    std::atomic<bool> running{false};
    const int v = co_await with_scope([&](cancel_scope& s) -> task<int> {
        spawn([&]() -> task<> {
            while (!running) co_await this_task::yield();
            s.cancel();
        });
        co_return co_await offload([&](std::stop_token st, int x) {
            running = true;
            until_stopped(st);
            return x;
        }, 5);
    });
    CHECK(v == 5);
}

EDDY_TEST("O-04 a timeout around a call on a worker waits for the call, which sees the stop request; its value counts (R2)") {
    std::atomic<bool> stopped{false};
    int got = 0;
    const auto r = co_await as_result(with_timeout(1h, [&](cancel_scope& s) -> task<int> {
        auto call = offload([&](std::stop_token st) {
            in_loop([&] { s.reschedule(loop_clock::now()); }); // the deadline comes while this runs
            until_stopped(st);
            stopped = true;
            return 7;
        });
        got = co_await call;
        co_await this_task::checkpoint();
        co_return got;
    }));
    CHECK(stopped);
    CHECK(got == 7);
    CHECK(words::holds<timeout_error>(r.exception()));
}

EDDY_TEST("O-04 abandoned, the task leaves at once; the function goes on, its result is dropped") {
    gate g;
    std::atomic<bool> running{false};
    std::atomic<bool> finished{false};
    auto h = spawn([&]() -> task<> {
        co_await offload(abandon, [&] {
            running = true;
            g.wait();
            finished = true;
            return 7;
        });
    });
    while (!running) co_await this_task::yield();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK_FALSE(finished);
    g.open();
    while (this_loop().stats().pool_jobs > 0) co_await this_task::yield();
    CHECK(finished);
}

EDDY_TEST("O-05 what an abandoned function throws reaches the exception handler") {
    const words::reports reports;
    gate g;
    std::atomic<bool> running{false};
    auto h = spawn([&]() -> task<> {
        co_await offload(abandon, [&] {
            running = true;
            g.wait();
            throw std::runtime_error("nobody waits");
        });
    }, {.name = "left"});
    while (!running) co_await this_task::yield();
    co_await h.cancel_and_join();
    g.open();
    while (reports.count() == 0) co_await this_task::yield();
    CHECK(reports.text() == "left: nobody waits");
}

TEST_CASE("O-04 debug mode says that a cancellation had to wait for a call on a worker") {
    event_loop loop(loop_options{.debug = true, .slow_step = 0ms});
    std::string log;
    loop.set_exception_handler([&](const error_context& e) {
        if (e.message.find("slow step") == std::string_view::npos) log += std::string(e.task_name) + ": " + std::string(e.message) + "\n";
    });
    std::atomic<bool> running{false};
    auto h = loop.spawn([&]() -> task<> {
        auto call = offload([&](std::stop_token st) {
            running = true;
            until_stopped(st);
        });
        co_await call;
    }, {.name = "caller"});
    while (!running) loop.poll();
    h.cancel();
    while (!h.done()) loop.poll();
    CHECK(log.find("caller: cancelled, but its function on a worker took another ") == 0);
    CHECK(log.find("offload(abandon, f)") != std::string::npos);
}

EDDY_TEST("O-04 an abandoned function that is not abandoned after all returns its value") {
    const int v = co_await offload(abandon, twice, 4);
    CHECK(v == 8);
}

EDDY_TEST("O-07 in a scope that is cancelled already the function is not started") {
    bool started = false;
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        co_await offload([&] { started = true; });
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK_FALSE(started);
}

EDDY_TEST("a call that waits for a worker is withdrawn by a cancellation and never runs") {
    worker_pool pool(1);
    gate g;
    std::atomic<bool> running{false};
    bool second_ran = false;
    auto first = spawn([&]() -> task<> {
        co_await offload(pool, [&] {
            running = true;
            g.wait();
        });
    });
    while (!running) co_await this_task::yield();
    auto second = spawn([&]() -> task<> { co_await offload(pool, [&] { second_ran = true; }); });
    while (pool.queued() == 0) co_await this_task::yield();
    co_await second.cancel_and_join();
    CHECK(second.cancelled());
    CHECK(pool.queued() == 0);
    g.open();
    co_await first;
    CHECK_FALSE(second_ran);
}

EDDY_TEST("O-09 offloading to a pool that was shut down throws at the await") {
    worker_pool pool(1);
    const int v = co_await offload(pool, twice, 3);
    CHECK(pool.shutdown(1min).empty());
    const auto r = co_await as_result(offload(pool, twice, 3));
    CHECK(v == 6);
    CHECK(words::holds<pool_stopped>(r.exception()));
}

TEST_CASE("O-10 run waits for the calls of the tasks it cancels") {
    std::atomic<bool> running{false};
    std::atomic<bool> finished{false};
    run([](std::atomic<bool>& began, std::atomic<bool>& ended) -> task<> {
        spawn([&]() -> task<> {
            co_await offload([&](std::stop_token st) {
                began = true;
                until_stopped(st);
                ended = true;
            });
        });
        while (!began) co_await this_task::yield();
    }(running, finished));
    CHECK(finished);
}

TEST_CASE("O-10 run waits for calls that were abandoned, too") {
    std::atomic<bool> running{false};
    std::atomic<bool> finished{false};
    run([](std::atomic<bool>& began, std::atomic<bool>& ended) -> task<> {
        spawn([&]() -> task<> {
            co_await offload(abandon, [&](std::stop_token st) {
                began = true;
                until_stopped(st);
                ended = true;
            });
        });
        while (!began) co_await this_task::yield();
    }(running, finished));
    CHECK(finished);
}

EDDY_TEST("O-11 a limiter of 1 lets three offloads through strictly one after another, in order", "[fifo]") {
    capacity_limiter one{1};
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::mutex guards_log;
    std::string log;
    auto call = [&](const char* name) -> task<> {
        co_await offload(one, [&, name] {
            most = std::max(most.load(), ++inside);
            {
                const std::lock_guard lock(guards_log);
                log += std::string(name) + "( ";
            }
            for (int i = 0; i < 5; ++i) in_loop([] {}); // the loop has its turns: another call would be let in now
            {
                const std::lock_guard lock(guards_log);
                log += ") ";
            }
            --inside;
        });
    };
    auto a = spawn(call, "a");
    auto b = spawn(call, "b");
    auto c = spawn(call, "c");
    co_await this_task::yield();
    CHECK(one.borrowed() == 1);
    CHECK(one.waiting() == 2);
    co_await a;
    co_await b;
    co_await c;
    CHECK(log == "a( ) b( ) c( ) ");
    CHECK(most == 1);
    CHECK(one.available() == 1);
}

EDDY_TEST("O-11 cancelled while it waits for the limiter, the function is not started") {
    capacity_limiter one{1};
    gate g;
    std::atomic<bool> started{false};
    auto holder = spawn([&]() -> task<> { co_await offload(one, [&] { g.wait(); }); });
    co_await this_task::yield();
    co_await this_task::yield();
    auto h = spawn([&]() -> task<> { co_await offload(one, [&] { started = true; }); });
    co_await this_task::yield();
    co_await this_task::yield();
    CHECK(one.waiting() == 1);
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(one.waiting() == 0);
    g.open();
    co_await holder;
    CHECK_FALSE(started);
    CHECK(one.available() == 1);
}

EDDY_TEST("O-11 the token is the call's, not the task's, and comes back whatever the call throws") {
    capacity_limiter two{2};
    auto own = co_await two.acquire();
    const int v = co_await offload(two, twice, 21);
    CHECK(v == 42);
    const auto failed = co_await as_result(offload(two, []() -> int { throw std::runtime_error("X"); }));
    CHECK(words::of(failed) == "X");
    auto op = offload(two, [](std::stop_token, std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5));
    const std::unique_ptr<int> p = co_await std::move(op);
    CHECK(*p == 5);
    CHECK(two.borrowed() == 1);
}

EDDY_TEST("O-14 ten thousand trivial calls complete on a bounded number of threads") {
    worker_pool pool(3);
    std::atomic<int> sum{0};
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < 10'000; ++i) g.spawn([&]() -> task<> { co_await offload(pool, [&] { ++sum; }); });
        co_return;
    });
    CHECK(sum == 10'000);
    CHECK(pool.threads() <= 3);
    CHECK(pool.running() == 0);
    CHECK(pool.queued() == 0);
}

EDDY_TEST("virtual time does not pass while a call runs") {
    const auto start = loop_clock::now();
    gate g;
    spawn([&]() -> task<> {
        co_await this_task::yield();
        g.open();
    });
    const auto won = co_await race(offload([&] { g.wait(); }), sleep_for(1h));
    CHECK(won.index == 0);
    CHECK(loop_clock::now() == start);
}

EDDY_TEST("R16 a shutdown of a pool names the calls that are stuck, and lets their threads go") {
    auto g = std::make_shared<gate>();
    std::atomic<bool> running{false};
    worker_pool pool(1);
    auto h = spawn([&]() -> task<> {
        auto op = offload(pool, [&running, g] {
            running = true;
            g->wait();
        });
        co_await op;
    }, {.name = "stuck"});
    while (!running) co_await this_task::yield();
    const std::vector<std::string> stuck = pool.shutdown(0s);
    CHECK(stuck.size() == 1);
    CHECK(stuck.front().find("stuck (offloaded at ") == 0);
    CHECK(stuck.front().find("offload_test.cpp") != std::string::npos);
    g->open();
    co_await h;
}

EDDY_TEST("a call that waits behind a stuck one when its pool is shut down ends with pool_stopped") {
    worker_pool pool{1};
    std::latch running(1);
    std::latch go(1);
    auto stuck = spawn([&]() -> task<> { co_await offload(pool, [&] { running.count_down(); go.wait(); }); });
    while (pool.queued() + pool.running() == 0) co_await this_task::yield();
    running.wait();
    auto behind = spawn([&]() -> task<> { co_await offload(pool, [] {}); });
    while (pool.queued() == 0) co_await this_task::yield();
    const std::vector<std::string> left = pool.shutdown(0ms);
    CHECK(left.size() == 1);
    co_await behind.join();
    CHECK(words::holds<pool_stopped>(behind.exception()));
    go.count_down();
    co_await stuck;
}
