// expect-error: coroutine frames are not over-aligned
// Trap T17: compilers disagree about over-aligned objects in coroutine frames.
#include <eddy/task.hpp>

struct alignas(64) cache_line {
    int value;
};

eddy::task<cache_line> f() {
    co_return cache_line{1};
}
