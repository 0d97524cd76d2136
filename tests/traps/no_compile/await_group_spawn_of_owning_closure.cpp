// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: so does a child of a group that is awaited where it is spawned.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(eddy::task_group& g, std::string s) {
    co_await g.spawn([s]() -> eddy::task<> { co_return; });
}
