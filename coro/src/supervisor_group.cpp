#include <eddy/supervisor_group.hpp>

namespace eddy {

void supervisor_group::child_failed(detail::task_context& child) noexcept {
    if (!on_error_) return;
    child.mark_seen();
    const std::string name = child.name();
    try {
        on_error_({.message = "a supervised task failed", .exception = child.error(), .task_name = name, .where = child.where()});
    } catch (...) {
        host().loop().report({.message = "the handler of a supervisor_group failed",
                              .exception = std::current_exception(),
                              .task_name = name,
                              .where = child.where()});
    }
}

} // namespace eddy
