// expect-error: cannot be copied, so it has to be moved out
// The result of a handle that stays with its owner would have to be copied.
#include <eddy/runtime.hpp>
#include <memory>

eddy::task<> f(eddy::task_handle<std::unique_ptr<int>> h) {
    auto all = co_await eddy::gather(h);
}
