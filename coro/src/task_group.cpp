#include <eddy/task_group.hpp>

#include <algorithm>

namespace eddy {

void task_group::require_open() const {
    if (phase_ == phase::open) return;
    detail::throw_logic_error(phase_ == phase::fresh ? "task_group::spawn before the group was entered: use it inside with_task_group"
                                                     : "task_group::spawn after the group ended: its block is over");
}

void task_group::cancel(std::string_view reason) {
    if (phase_ != phase::over) scope().cancel_scope_now(reason);
}

void task_group::enter(detail::task_context& host) {
    if (phase_ != phase::fresh) detail::throw_logic_error("a task_group is entered once; make a new one");
    phase_ = phase::open;
    open(host);
}

void task_group::child_ended(detail::task_context& child) noexcept {
    if (!child.error() || child.was_cancelled()) return;
    child.mark_seen();
    child.retain();
    (last_failed_ ? last_failed_->next_failed : first_failed_) = &child;
    last_failed_ = &child;
    scope().cancel_scope_now("a task of the group failed");
}

void task_group::body_failed(std::exception_ptr error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const operation_cancelled&) {
        body_cancelled_ = true;
        own_cancellation_ = scope().catches();
    } catch (...) { // an error: reported together with the children's
    }
    body_error_ = std::move(error);
    scope().cancel_scope_now("the body of the group failed");
}

std::vector<std::exception_ptr> task_group::take_errors() {
    std::vector<std::exception_ptr> errors;
    while (detail::task_context* child = first_failed_) {
        first_failed_ = std::exchange(child->next_failed, nullptr);
        errors.push_back(child->error());
        child->release();
    }
    last_failed_ = nullptr;
    // An error that came to the body through a child's handle and left it again is in the group once.
    if (body_error_ && !body_cancelled_ && std::find(errors.begin(), errors.end(), body_error_) == errors.end())
        errors.push_back(body_error_);
    return errors;
}

void task_group::leave() {
    const bool interrupted = cancelled_while_joining();
    const bool ends_here = own_cancellation_ && scope().catches();
    const auto reason = scope().effective_reason();
    close();
    phase_ = phase::over;
    std::vector<std::exception_ptr> errors = take_errors();
    if (!errors.empty()) throw exception_group(std::move(errors));
    if (body_cancelled_ && !own_cancellation_) std::rethrow_exception(body_error_);
    if (interrupted || (body_cancelled_ && !ends_here)) throw operation_cancelled(reason);
}

namespace detail {

void throw_group_cancelled(const scope_node& s) {
    std::string text = "the task group was cancelled before its body had a value";
    if (const auto reason = s.effective_reason()) text += ": " + *reason;
    throw child_cancelled(text);
}

} // namespace detail
} // namespace eddy
