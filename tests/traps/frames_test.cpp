// Traps T2 and T4 to T9: what compilers get wrong about coroutine frames.
#include <eddy/detail/frame.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <atomic>
#include <concepts>
#include <string>
#include <thread>
#include <vector>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> give(int x) {
    co_return x;
}
task<int> count_down(int depth) {
    if (depth == 0) co_return 0;
    co_return co_await count_down(depth - 1) + 1;
}
task<std::size_t> frames_inside() {
    co_return eddy::detail::live_frames();
}

} // namespace

EDDY_TEST("T2 a million ready awaits of every kind run in constant stack") {
    event e;
    e.set();
    mutex m;
    queue<int> q(1);
    auto h = spawn(give(1));
    co_await h;
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i) {
        sum += co_await give(1);
        if (i % 4 == 0) co_await e.wait();
        if (i % 4 == 1) sum += co_await h;
        if (i % 4 == 2) auto guard = co_await m.lock();
        if (i % 4 == 3) {
            co_await q.push(1);
            sum += co_await q.pop();
        }
    }
    CHECK(sum == 1'500'000);
}

EDDY_TEST("T2 a recursion of a hundred thousand tasks runs in constant stack, at the bottom of a loop as well") {
    for (int i = 0; i < 3; ++i) {
        const int depth = co_await count_down(100'000);
        CHECK(depth == 100'000);
    }
}

EDDY_TEST("T4 a frame is not touched after its handle was given to another thread") {
    worker_pool pool(2);
    std::atomic<int> calls{0};
    auto caller = [&]() -> task<> {
        for (int i = 0; i < 500; ++i) {
            const int v = co_await offload(pool, [&](int x) { return x + ++calls; }, i);
            if (v < i) co_return;
        }
    };
    auto a = spawn(caller);
    auto b = spawn(caller);
    auto c = spawn(caller);
    co_await a;
    co_await b;
    co_await c;
    CHECK(calls == 1500);
}

EDDY_TEST("T5 the frames of detached tasks are destroyed by the loop, not by themselves") {
    const std::size_t before = eddy::detail::live_frames();
    for (int i = 0; i < 1000; ++i) {
        spawn([]() -> task<> { co_return; });
        spawn([]() -> task<> { co_await this_task::yield(); });
    }
    CHECK(eddy::detail::live_frames() > before);
    co_await testing::settle();
    CHECK(eddy::detail::live_frames() == before);
}

EDDY_TEST("T6 no frame is elided: each comes from the free list") {
    const std::size_t before = eddy::detail::live_frames();
    const std::size_t inside = co_await frames_inside();
    CHECK(inside == before + 1);
    CHECK(eddy::detail::live_frames() == before);
}

TEST_CASE("T7 the current loop and task are right after every kind of suspension, on several threads at once") {
    std::atomic<int> wrong{0};
    const auto body = [&wrong]() -> task<> {
        event_loop* const loop = event_loop::current();
        const any_task me = this_task::handle();
        const auto check = [&] { wrong += event_loop::current() != loop || !(this_task::handle() == me) ? 1 : 0; };
        for (int i = 0; i < 50; ++i) {
            co_await this_task::yield();
            check();
            co_await sleep_for(1us);
            check();
            co_await offload([] {});
            check();
            auto h = spawn_eager(give(1));
            check();
            co_await h;
            check();
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&body] {
            run_options options;
            options.handle_signals = false;
            run(body(), options);
        });
    }
    for (std::thread& t : threads) t.join();
    CHECK(wrong == 0);
    CHECK(event_loop::current() == nullptr);
}

TEST_CASE("T8 get_return_object returns exactly the declared type") {
    using eddy::detail::task_promise;
    STATIC_REQUIRE(std::same_as<decltype(std::declval<task_promise<int>&>().get_return_object()), task<int>>);
    STATIC_REQUIRE(std::same_as<decltype(std::declval<task_promise<int&>&>().get_return_object()), task<int&>>);
    STATIC_REQUIRE(std::same_as<decltype(std::declval<task_promise<void>&>().get_return_object()), task<>>);
    STATIC_REQUIRE(std::same_as<task<int>::promise_type, task_promise<int>>);
}

TEST_CASE("T9 awaiters, tasks and handles are no aggregates") {
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<task<int>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<task_handle<int>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<eddy::detail::awaiter_of<task<int>>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<eddy::detail::awaiter_of<task_handle<int>>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<eddy::detail::awaiter_of<decltype(sleep_for(1s))>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<eddy::detail::awaiter_of<decltype(this_task::yield())>>);
    STATIC_REQUIRE_FALSE(std::is_aggregate_v<eddy::detail::awaiter_of<decltype(as_result(sleep_for(1s)))>>);
}

EDDY_TEST("T9 a parameter is moved into its frame once") {
    struct mover {
        mover() = default;
        mover(const mover& o) : copies(o.copies + 1), moves(o.moves) {}
        mover(mover&& o) noexcept : copies(o.copies), moves(o.moves + 1) {}
        mover& operator=(const mover&) = delete;
        ~mover() = default;
        int copies = 0;
        int moves = 0;
    };
    auto f = [](mover m) -> task<mover> { co_return std::move(m); };
    const mover m = co_await f(mover());
    CHECK(m.copies == 0);
    CHECK(m.moves <= 3); // into the frame, into the result, out of it
}
