// expect-error: GCC before 13 destroys this temporary twice
// only: gcc<13
// Trap T1: so do the verbs of a group that are awaited themselves.
#include <eddy/runtime.hpp>
#include <string>

eddy::task<> f(eddy::task_group& g, std::string s) {
    co_await g.start([s](eddy::started<int> ready) -> eddy::task<> {
        ready(1);
        co_return;
    });
}
