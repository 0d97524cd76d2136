#include <eddy/started.hpp>

#include <stdexcept>
#include <utility>

namespace eddy::detail {

void start_state_base::require_first() const {
    if (ready) throw invalid_state("started: the child said before that it is ready; it does so once");
}

void start_state_base::now_ready() noexcept {
    ready = true;
    if (child && std::exchange(child.context().on_probation, false)) --*starting;
    if (start_operation* const w = std::exchange(waiter_, nullptr)) w->child_ready();
}

bool start_operation::start() noexcept {
    shared_->waiter_ = this;
    shared_->child.context().watch(*this);
    return false;
}

void start_operation::child_ready() noexcept {
    shared_->child.context().unwatch(*this);
    finish();
}

bool start_operation::abort() noexcept {
    shared_->waiter_ = nullptr;
    shared_->child.context().unwatch(*this);
    return true;
}

void start_operation::child_ended(task_watcher& w) noexcept {
    auto& op = static_cast<start_operation&>(w);
    op.shared_->waiter_ = nullptr;
    op.finish();
}

void throw_not_ready(task_context& child) {
    check_value(child);
    throw std::logic_error("task_group::start: task '" + child.name() + "' ended without saying that it is ready");
}

} // namespace eddy::detail
