// Tasks that are left over when the objects they wait for are gone.
#include <eddy/coro.hpp>
#include <eddy/testing.hpp>

#include <string>


using namespace eddy;

EDDY_TEST("a task left waiting for a local of a finished coroutine is cancelled at shutdown") {
    event e;
    semaphore s{0};
    queue<int> q{1};
    const auto waiting = [&]() -> task<> { co_await e.wait(); };
    const auto acquiring = [&]() -> task<> { const semaphore_permit p = co_await s.acquire(); };
    const auto popping = [&]() -> task<> { static_cast<void>(co_await q.pop()); };
    spawn(waiting);
    spawn(acquiring);
    spawn(popping);
    co_await testing::settle();
    CHECK(this_loop().all_tasks().size() == 4);
}
