#include <eddy/shutdown_signal.hpp>

namespace eddy {

shutdown_signal::shutdown_signal(shutdown_signal& parent) : parent_(&parent) {
    if (parent.requested_) {
        requested_ = true;
        reason_ = parent.reason_;
    }
    parent.children_.push_back(*this);
}

shutdown_signal::~shutdown_signal() {
    if (parent_) parent_->children_.erase(*this);
    while (shutdown_signal* const child = children_.pop_front()) child->parent_ = nullptr;
}

void shutdown_signal::request(std::string_view reason) {
    if (!requested_) tell(reason.empty() ? nullptr : std::make_shared<const std::string>(reason));
}

void shutdown_signal::tell(const detail::scope_node::reason_ptr& reason) noexcept {
    if (requested_) return;
    reason_ = reason;
    requested_ = true;
    while (detail::queued_operation* const w = waiters_.pop_front()) w->grant();
    for (detail::shutdown_scope* s = scopes_.front(); s; s = scopes_.next(*s)) s->scope.cancel_scope_now(reason_);
    wake_drained();
    for (shutdown_signal* child = children_.front(); child; child = children_.next(*child)) child->tell(reason_);
}

shutdown_hold shutdown_signal::hold() noexcept {
    for (shutdown_signal* s = this; s; s = s->parent_) ++s->holders_;
    return shutdown_hold(*this);
}

void shutdown_signal::release() noexcept {
    for (shutdown_signal* s = this; s; s = s->parent_) {
        --s->holders_;
        s->wake_drained();
    }
}

void shutdown_signal::wake_drained() noexcept {
    if (!is_drained()) return;
    while (detail::queued_operation* const w = drain_waiters_.pop_front()) w->grant();
}

void shutdown_signal::enter(detail::shutdown_scope& s) {
    scopes_.push_back(s);
    if (requested_) s.scope.cancel_scope_now(reason_);
}

shutdown_hold::~shutdown_hold() {
    if (signal_) signal_->release();
}

} // namespace eddy
