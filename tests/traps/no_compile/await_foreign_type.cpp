// expect-error: this type cannot be awaited in a task
#include <coroutine>
#include <eddy/task.hpp>

eddy::task<> f() {
    co_await std::suspend_always{};
}
