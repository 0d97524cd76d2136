#include <eddy/gather.hpp>

namespace eddy::detail {

void gather_set::child_ended(task_context& child) noexcept {
    if (!child.error()) return;
    child.mark_seen();
    if (policy_ == policy::collect_all) return;
    if (child.was_cancelled()) {
        if (scope().effective() || first_error_) return; // by us, or by what cancels us
        try {
            throw_child_cancelled(child);
        } catch (...) {
            first_error_ = std::current_exception();
        }
    } else if (first_error_ && first_error_ == child.error()) {
        return; // two members observe one task
    } else if (first_error_ || scope().effective()) {
        const std::string name = child.name();
        const std::string_view text =
            first_error_ ? "another member of a gather failed after the first" : "a member of a cancelled gather failed";
        host().loop().report({.message = text, .exception = child.error(), .task_name = name, .where = child.where()});
        return;
    } else {
        first_error_ = child.error();
    }
    scope().cancel_scope_now("another member of the gather failed");
}

void gather_set::finish() {
    const bool interrupted = cancelled_while_joining();
    close();
    if (first_error_) std::rethrow_exception(first_error_);
    if (interrupted) host().throw_cancelled();
}

} // namespace eddy::detail
