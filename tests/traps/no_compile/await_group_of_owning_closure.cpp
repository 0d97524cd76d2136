// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: a group's body is a part like any other.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(std::string s) {
    co_await eddy::with_task_group([s](eddy::task_group&) -> eddy::task<> { co_return; });
}
