#include <eddy/shared_mutex.hpp>

namespace eddy {

std::optional<shared_mutex::guard> shared_mutex::try_lock() noexcept {
    if (!waiters_.empty() || !take(lock_kind::exclusive)) return std::nullopt;
    return guard(*this, std::adopt_lock);
}

std::optional<shared_mutex::shared_guard> shared_mutex::try_lock_shared() noexcept {
    if (!waiters_.empty() || !take(lock_kind::shared)) return std::nullopt;
    return shared_guard(*this, std::adopt_lock);
}

bool shared_mutex::take(lock_kind kind) noexcept {
    if (writing_) return false;
    if (kind == lock_kind::shared) {
        ++readers_;
        return true;
    }
    writing_ = readers_ == 0;
    return writing_;
}

void shared_mutex::release(lock_kind kind) noexcept {
    if (kind == lock_kind::shared)
        --readers_;
    else
        writing_ = false;
    serve();
}

// Hands the lock to as many waiters as can have it together, none overtaking another.
void shared_mutex::serve() noexcept {
    while (auto* const next = static_cast<detail::shared_mutex_wait*>(waiters_.front())) {
        if (!take(next->kind_)) return;
        waiters_.erase(*next);
        next->grant(); // it owns the lock from here on
    }
}

} // namespace eddy
