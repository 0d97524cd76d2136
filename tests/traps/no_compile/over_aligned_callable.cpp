// expect-error: task states are not over-aligned
// Trap T17: a callable that needs more than the alignment of the heap.
#include <eddy/runtime.hpp>

struct alignas(512) large {
    eddy::task<> operator()() const { co_return; }
};

void f() {
    auto h = eddy::spawn(large());
}
