// expect-error: a task is lazy: co_await it, or spawn it to run it beside this one
// A task that is neither awaited nor spawned does nothing; the compiler says so (a warning, an error here).
#include <eddy/task.hpp>
#pragma GCC diagnostic error "-Wunused-result"

eddy::task<> g();

void f() {
    g();
}
