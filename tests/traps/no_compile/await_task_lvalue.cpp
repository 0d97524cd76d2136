// expect-error: a task is awaited once and consumed by it: write co_await std::move.t.
// T-07: the second co_await of a task is a mistake that does not compile.
#include <eddy/task.hpp>

eddy::task<int> g();

eddy::task<int> f() {
    auto t = g();
    const int a = co_await t;
    co_return a + co_await t;
}
