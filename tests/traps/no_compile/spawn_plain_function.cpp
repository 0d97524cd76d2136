// expect-error: spawn: the callable has to return a task
#include <eddy/spawn.hpp>

void f() {
    eddy::spawn([](int x) { return x; }, 1);
}
