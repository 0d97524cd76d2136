#include <eddy/detail/child_set.hpp>

namespace eddy::detail {

void child_set::child_finished(task_context& child) noexcept {
    child_ended(child);
    if (--alive_ > 0 || !joiner_) return;
    std::exchange(joiner_, nullptr)->finish();
}

} // namespace eddy::detail
