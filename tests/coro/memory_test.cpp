// How much memory tasks take: bytes of a suspended one, allocations of a spawn, an await and a wait on each primitive.
#include <eddy/coro.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <malloc.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "allocations.hpp"
#include "lib/tasks.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using allocations::in_steady_state;

namespace {

/// One round in which a task waits for what we then give it.
template <class Wait, class Give>
auto handing_over(Wait wait, Give give) {
    return [wait, give]() -> task<> {
        auto h = spawn(wait);
        co_await this_task::yield();
        give();
        co_await h;
    };
}

/// Bytes of heap that each of many tasks takes while it waits for `e`. So many that what the free list gave does not
/// matter.
template <class F>
task<std::size_t> bytes_each(F start) {
    constexpr std::size_t many = 100'000;
    event e;
    const std::size_t before = ::mallinfo2().uordblks;
    for (std::size_t i = 0; i < many; ++i) start(e);
    co_await testing::settle();
    const std::size_t after = ::mallinfo2().uordblks;
    e.set();
    co_await testing::settle();
    co_return allocations::counted && after > before ? (after - before) / many : 0;
}

} // namespace

EDDY_TEST("a wait on any primitive allocates nothing in steady state", "[fifo]") {
    mutex m;
    shared_mutex rw;
    condition c(m);
    capacity_limiter l(0);
    barrier b(2);
    queue<int> q(1);
    priority_queue<int> pq(1);
    stack_queue<int> sq(1);
    auto reader_wait = [&]() -> task<> { auto g = co_await rw.lock_shared(); };
    const auto shared = co_await in_steady_state([&]() -> task<> {
        auto w = co_await rw.lock();
        auto h = spawn(reader_wait);
        co_await this_task::yield();
        w.unlock();
        co_await h;
    });
    CHECK(shared == 0);
    auto cond_wait = [&]() -> task<> {
        auto g = co_await m.lock();
        co_await c.wait(g);
    };
    const auto conditions = co_await in_steady_state(handing_over(cond_wait, [&] {
        auto g = m.try_lock();
        c.notify();
    }));
    CHECK(conditions == 0);
    auto borrow = [&]() -> task<> { auto t = co_await l.acquire(); };
    const auto limiters = co_await in_steady_state([&]() -> task<> {
        auto h = spawn(borrow);
        co_await this_task::yield();
        l.set_total(1);
        co_await h;
        l.set_total(0);
    });
    CHECK(limiters == 0);
    auto meet = [&]() -> task<> { static_cast<void>(co_await b.wait()); };
    const auto barriers = co_await in_steady_state([&]() -> task<> {
        auto h = spawn(meet);
        co_await this_task::yield();
        static_cast<void>(co_await b.wait());
        co_await h;
    });
    CHECK(barriers == 0);
    const auto latches = co_await in_steady_state([&]() -> task<> {
        latch d(1);
        auto h = spawn(d.wait());
        co_await this_task::yield();
        d.count_down();
        co_await h;
    });
    CHECK(latches == 0);
    const auto futures = co_await in_steady_state([&]() -> task<> {
        promise<int> p;
        auto f = p.get_future();
        auto h = spawn([&]() -> task<> { static_cast<void>(co_await f); });
        co_await this_task::yield();
        p.set_value(1);
        co_await h;
    });
    CHECK(futures <= 1000); // the shared state
    const auto pushes = co_await in_steady_state([&]() -> task<> {
        co_await q.push(1);
        auto h = spawn(q.push(2));
        co_await this_task::yield();
        static_cast<void>(q.try_pop());
        co_await h;
        static_cast<void>(q.try_pop());
        auto j = spawn(q.join());
        co_await this_task::yield();
        q.task_done();
        q.task_done();
        co_await j;
    });
    CHECK(pushes == 0);
    const auto pops = co_await in_steady_state([&]() -> task<> {
        auto h = spawn(pq.pop());
        auto k = spawn(sq.pop());
        co_await this_task::yield();
        CHECK(pq.try_push(1));
        CHECK(sq.try_push(1));
        co_await h;
        co_await k;
    });
    CHECK(pops == 0);
}

EDDY_TEST("combining allocates what the documentation says in steady state") {
    const auto scopes = co_await in_steady_state(
        []() -> task<> { co_await with_scope([](cancel_scope&) -> task<> { co_await this_task::yield(); }); });
    const auto shields = co_await in_steady_state(
        []() -> task<> { co_await with_shield([]() -> task<> { co_await this_task::yield(); }); });
    const auto races = co_await in_steady_state([]() -> task<> { static_cast<void>(co_await race(give(1), give(2))); });
    const auto races_lost =
        co_await in_steady_state([]() -> task<> { static_cast<void>(co_await race(sleep_for(1ms), sleep_for(1h))); });
    const auto outcomes =
        co_await in_steady_state([]() -> task<> { static_cast<void>(co_await gather_outcomes(give(1), give(2))); });
    const auto waits = co_await in_steady_state([]() -> task<> { static_cast<void>(co_await wait_for(give(1), 1s)); });
    const auto fired = co_await in_steady_state([]() -> task<> {
        static_cast<void>(co_await move_on_after(1ms, [](cancel_scope&) -> task<> { co_await sleep_for(1h); }));
    });
    const auto eager = co_await in_steady_state([]() -> task<> {
        auto h = spawn_eager(give(1));
        co_await h;
    });
    const auto cleanups = co_await in_steady_state(
        []() -> task<> { co_await with_cleanup([]() -> task<> { co_return; }, []() -> task<> { co_return; }); });
    const auto cancels = co_await in_steady_state([]() -> task<> {
        auto h = spawn([]() -> task<> { co_await sleep_for(1h); });
        co_await this_task::yield();
        co_await h.cancel_and_join();
    });
    const auto waited = co_await in_steady_state([]() -> task<> {
        std::vector<task_handle<int>> v(1, spawn(give(1)));
        auto w = co_await wait(v);
        static_cast<void>(w);
    });
    worker_pool pool{1};
    const auto offloads =
        co_await in_steady_state([&]() -> task<> { static_cast<void>(co_await offload(pool, [] { return 1; })); });
    const auto soon = co_await in_steady_state([]() -> task<> {
        this_loop().call_soon([] {});
        co_await this_task::yield();
    });
    CHECK(scopes == 0);
    CHECK(shields == 0);
    CHECK(races == 0);
    CHECK(races_lost == 0);
    CHECK(outcomes == 0);
    CHECK(waits == 0);
    CHECK(fired == 0);
    CHECK(eager == 0);
    CHECK(cleanups == 0);
    CHECK(cancels == 0);
    CHECK(offloads == 0);
    CHECK(soon <= 1000);   // the callback
    CHECK(waited <= 8000); // the lists of handles: theirs, ours and the operation's
}

EDDY_TEST("a suspended task takes hundreds of bytes, not thousands") {
    const std::size_t plain = co_await bytes_each([](event& e) { spawn(e.wait()); });
    const std::size_t callable = co_await bytes_each([](event& e) { spawn([&e]() -> task<> { co_await e.wait(); }); });
    const std::size_t timed = co_await bytes_each([](event& e) {
        spawn([&e]() -> task<> { co_await with_timeout(1h, [&e](cancel_scope&) -> task<> { co_await e.wait(); }); });
    });
    INFO("plain " << plain << ", callable " << callable << ", in a timeout " << timed);
    CHECK(plain <= 2048); // loose: without optimization frames are larger
    CHECK(callable <= 2048);
    CHECK(timed <= 4096);
}
