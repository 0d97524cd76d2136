#include <eddy/condition.hpp>

#include <eddy/errors.hpp>

#include <optional>

namespace eddy {

condition::~condition() {
    while (detail::notified_waiter* w = notified_.pop_front()) w->from = nullptr;
}

void condition::require_held(const mutex_guard& guard) const {
    if (guard.owner() != mutex_)
        detail::throw_logic_error("condition::wait: the guard does not own the condition's mutex; lock that first");
}

void condition::notify(std::size_t n) {
    if (!mutex_->locked())
        detail::throw_logic_error(
            "condition::notify: nobody holds the mutex; lock it before you change what others wait for");
    while (n > 0 && wake_one()) --n;
}

bool condition::wake_one() noexcept {
    auto* const next = static_cast<detail::condition_wait*>(waiters_.pop_front());
    if (next) next->notify();
    return next != nullptr;
}

namespace detail {

void condition_wait::notify() noexcept {
    notified_ = true;
    from->notified_.push_back(*this);
    enqueue_in(mutex_->waiters_);
}

// True if a notification can be handed on.
bool condition_wait::leave_notified() noexcept {
    if (!from) return false;
    from->notified_.erase(*this);
    return true;
}

bool condition_wait::abort() noexcept {
    if (orphaned()) { // no mutex to take back
        if (notified_) static_cast<void>(leave_notified());
        return true;
    }
    if (notified_) {
        if (leave_notified()) from->wake_one();
        return false;
    }
    static_cast<void>(queued_operation::abort());
    if (std::optional<mutex_guard> lock = mutex_->try_lock()) {
        *guard_ = *std::move(lock);
        return true;
    }
    enqueue_in(mutex_->waiters_);
    return false;
}

void condition_wait::granted_late() noexcept {
    regain();
    finish_cancelled();
}

void condition_wait::take() noexcept {
    regain();
    if (leave_notified() && task().cancel_pending()) from->wake_one();
}

} // namespace detail
} // namespace eddy
