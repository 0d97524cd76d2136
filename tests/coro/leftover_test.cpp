// Tasks that are left over when the objects they wait for are gone.
#include <eddy/coro.hpp>
#include <eddy/testing.hpp>

using namespace eddy;

EDDY_TEST("a task left waiting for a local of a finished coroutine is cancelled at shutdown") {
    event e;
    semaphore s{0};
    queue<int> q{1};
    barrier b{2};
    latch l{1};
    capacity_limiter limiter{0};
    mutex m;
    condition c{m};
    const auto waiting = [&]() -> task<> { co_await e.wait(); };
    const auto acquiring = [&]() -> task<> { const semaphore_permit p = co_await s.acquire(); };
    const auto popping = [&]() -> task<> { static_cast<void>(co_await q.pop()); };
    const auto meeting = [&]() -> task<> { static_cast<void>(co_await b.wait()); };
    const auto counting = [&]() -> task<> { co_await l.wait(); };
    const auto borrowing = [&]() -> task<> { const limiter_token t = co_await limiter.acquire(); };
    const auto hoping = [&]() -> task<> {
        mutex_guard guard = co_await m.lock();
        co_await c.wait(guard, [] { return false; });
    };
    spawn(waiting);
    spawn(acquiring);
    spawn(popping);
    spawn(meeting);
    spawn(counting);
    spawn(borrowing);
    spawn(hoping);
    co_await testing::settle();
    CHECK(this_loop().all_tasks().size() == 8);
}
