#include <eddy/task_handle.hpp>

#include <eddy/this_task.hpp>
#include <eddy/cancel_scope.hpp>

namespace eddy {

std::exception_ptr any_task::exception() const {
    detail::task_context& t = state();
    if (!t.done()) throw invalid_state("exception(): task '" + t.name() + "' has not ended yet; co_await it or its join()");
    if (t.was_cancelled()) return nullptr;
    t.mark_seen();
    return t.error();
}

bool any_task::cancel(std::string_view reason) const {
    detail::task_context& t = state();
    if (!t.done() && t.loop().debug() && !t.loop().on_own_thread()) [[unlikely]]
        throw std::logic_error("task_handle::cancel: this is not the thread of the task's loop; use thread_future::cancel or call_soon_threadsafe");
    return t.cancel(reason);
}

namespace detail {

void throw_child_cancelled(const task_context& t) {
    std::string text = "task '" + t.name() + "' was cancelled";
    try {
        std::rethrow_exception(t.error());
    } catch (const operation_cancelled& c) {
        if (!c.reason().empty()) text += ": " + std::string(c.reason());
    }
    throw child_cancelled(text);
}

void cancel_join_operation::take() const {
    target_->report_unseen("task failed while it was cancelled and joined");
}

bool yield_operation::start() noexcept {
    task().make_ready();
    return false;
}

} // namespace detail

namespace this_task {

any_task handle() noexcept {
    return any_task(detail::current().task);
}

std::string name() {
    const detail::task_context* t = detail::current().task;
    return t ? t->name() : std::string();
}

bool cancel_requested() noexcept {
    const detail::task_context* t = detail::current().task;
    return t && t->cancel_pending();
}

std::optional<loop_clock::time_point> effective_deadline() noexcept {
    const detail::task_context* t = detail::current().task;
    return t ? t->scope().effective_deadline() : std::nullopt;
}

} // namespace this_task
} // namespace eddy
