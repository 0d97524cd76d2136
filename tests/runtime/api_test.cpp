// The interface by example: loop, time, threads, tests.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <string>
#include <thread>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> f(int x) {
    co_return x + 1;
}

} // namespace

TEST_CASE("the interface: run") {
    CHECK(run(f(1)) == 2);
    CHECK(run(f(1), run_options{.debug = true, .engine = engine_kind::asio, .grace = 10s, .handle_signals = false, .shuffle_seed = 1}) == 2);
    CHECK(run_main(f(1)) == 2);
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
    print_tasks();
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
