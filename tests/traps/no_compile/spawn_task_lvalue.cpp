// expect-error: a task is consumed by spawning it: write std::move.t.
#include <eddy/spawn.hpp>

eddy::task<> g();

void f() {
    auto t = g();
    eddy::spawn(t);
}
