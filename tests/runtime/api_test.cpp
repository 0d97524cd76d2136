// The interface by example: loop, time, threads, tests.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <chrono>
#include <cstdint>
#include <future>
#include <stop_token>
#include <string>
#include <thread>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> f(int x) {
    co_return x + 1;
}
task<> main_task() {
    co_await sleep_for(1ms);
}

task_local<int> user{0};

} // namespace

TEST_CASE("the interface: run") {
    CHECK(run(f(1)) == 2);
    int rc = run(f(1));
    CHECK(rc == 2);
    const run_options options{.debug = true,
                              .engine = engine_kind::asio,
                              .grace = 10s,
                              .handle_signals = false,
                              .shuffle_seed = 1,
                              .busy_poll = 1us};
    CHECK(run(f(1), options) == 2);
    run(main_task());
    CHECK(run_main(f(1)) == 2);
    CHECK(run_main(main_task()) == 0);
    runner r;
    CHECK(r.run(f(1)) == 2);
    CHECK(r.run(f(2)) == 3);
    CHECK_FALSE(r.loop().is_running());
}

TEST_CASE("the interface: the loop") {
    event_loop loop;
    CHECK(loop.run_until_complete(f(1)) == 2);
    auto h = loop.spawn(f(1));
    loop.call_soon([&] { loop.stop(); });
    loop.run_forever();
    CHECK(h.result() == 2);
    loop.run_once(10ms);
    loop.poll();

    std::string log;
    auto cb = loop.call_soon([&] { log += "not reached"; });
    cb.cancel();
    loop.call_later(0ms, [&] { log += "later "; });
    loop.call_at(loop.now(), [&] { log += "at "; });
    loop.call_soon_threadsafe([&] { log += "threadsafe "; });
    const bool queued = loop.try_post([&] { log += "posted "; });
    loop.run_once();
    CHECK(queued);
    CHECK(log.size() == std::string("later at threadsafe posted ").size());

    std::string reported;
    loop.set_exception_handler([&](const error_context& e) {
        reported += std::string(e.message) + "|" + eddy::detail::describe(e.exception) + "|" + std::string(e.task_name);
    });
    loop.call_soon([] { throw std::runtime_error("E"); });
    loop.poll();
    CHECK(reported == "exception in a callback|E|");
    CHECK(loop.all_tasks().empty());
    CHECK(loop.stats().ticks > 0);
    CHECK(loop.native_handle() >= -1);
    CHECK_FALSE(loop.next_deadline().has_value());
    loop.close();
}

TEST_CASE("the interface: a loop and other threads") {
    event_loop loop;
    std::string log;
    std::thread other([&] {
        auto tf = loop.spawn_threadsafe(f(1));
        tf.wait();
        const std::future_status status = tf.wait_for(0s);
        log += status == std::future_status::ready ? "ready " : "late ";
        log += std::to_string(tf.get());
        auto endless = loop.spawn_threadsafe([](std::chrono::hours d) -> task<> { co_await sleep_for(d); }, 1h);
        endless.cancel();
        log += words::throws<child_cancelled>([&] { endless.get(); return 0; }) ? " cancelled" : " ?";
        loop.call_soon_threadsafe([&] { loop.stop(); });
    });
    loop.run_forever();
    other.join();
    CHECK(log == "ready 2 cancelled");
}

TEST_CASE("the interface: a loop on a thread of its own") {
    loop_thread t;
    int v = t.call(f(1));
    CHECK(v == 2);
    CHECK(t.call([](int x) { return f(x); }, 4) == 5);
}

EDDY_TEST("the interface: time and threads") {
    co_await sleep_for(10ms);
    co_await sleep_until(loop_clock::now() + 1s);
    worker_pool pool{2};
    auto add = [](int a, int b) { return a + b; };
    auto d = co_await offload(add, 1, 2);
    auto own = co_await offload(pool, [] { return 4; });
    auto with_token = co_await offload([](std::stop_token st, int n) { return st.stop_requested() ? 0 : n; }, 5);
    auto left = co_await offload(abandon, [] { return 6; });
    CHECK(d == 3);
    CHECK(own == 4);
    CHECK(with_token == 5);
    CHECK(left == 6);
    capacity_limiter limiter{1};
    auto limited = co_await offload(limiter, [] { return 7; });
    CHECK(limited == 7);
    auto from_worker = co_await offload([] {
        int back = in_loop([] { return 1; });
        return back + in_loop([] { return f(2); });
    });
    CHECK(from_worker == 4);
    user.set(7);
    auto carried = co_await offload([] { return user.get(); });
    CHECK(carried == 7);
}

EDDY_TEST("the interface: seeing tasks") {
    event e;
    auto h = spawn(e.wait(), {.name = "waiter"});
    co_await testing::settle();
    print_tasks();
    auto graph = capture_call_graph(h);
    CHECK(graph.name == "waiter");
    CHECK(graph.waits_for == "event");
    e.set();
    co_await h;
}

EDDY_TEST("the interface: services in time") {
    auto fn = []() -> task<int> { co_return 3; };
    auto v = co_await retry({.attempts = 5, .first_delay = 100ms, .factor = 2.0, .jitter = 0.2}, fn);
    CHECK(v == 3);
    int beats = 0;
    auto job = every(5s, [&]() -> task<> {
        ++beats;
        co_return;
    });
    auto c = cron("*/5 * * * *", fn);
    co_await sleep_for(301s);
    job.cancel();
    CHECK(beats == 60);
    CHECK(c.runs() == 1);
}

EDDY_TEST("the interface: tests take no real time") {
    co_await sleep_for(1h);
    co_await testing::settle();
    CHECK(loop_clock::now().time_since_epoch() >= 1h);
}

EDDY_TEST_REAL("the interface: a test in real time") {
    co_await sleep_for(1ms);
    CHECK(event_loop::current() != nullptr);
}
