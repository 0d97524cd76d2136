// expect-error: will be destroyed at the end of the full-expression
// only: clang
// What is waited for must live until it is awaited: clang says so.
#pragma clang diagnostic error "-Wdangling"
#include <eddy/coro.hpp>

eddy::task<> f() {
    auto waiting = eddy::event().wait();
    co_await waiting;
}
