#include <eddy/capacity_limiter.hpp>

#include <eddy/detail/task_context.hpp>
#include <eddy/errors.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace eddy {
namespace {

std::ptrdiff_t checked_total(std::ptrdiff_t n) {
    if (n < 0)
        throw std::invalid_argument("capacity_limiter: the total cannot be negative (" + std::to_string(n) + ")");
    return n;
}

} // namespace

capacity_limiter::capacity_limiter(std::ptrdiff_t total) : total_(checked_total(total)) {}

void capacity_limiter::set_total(std::ptrdiff_t total) {
    const std::ptrdiff_t wanted = borrowed_ + static_cast<std::ptrdiff_t>(waiters_.size());
    borrowers_.reserve(
        static_cast<std::size_t>(std::min(checked_total(total), wanted))); // `serve` must not fail half-way
    total_ = total;
    serve();
}

std::optional<limiter_token> capacity_limiter::try_acquire() {
    const detail::task_context* const self = detail::current().task;
    if (!self)
        detail::throw_logic_error("capacity_limiter::try_acquire: no task runs here; use try_acquire_on_behalf_of");
    const detail::limiter_borrower b{.task = self->principal().id()};
    require_new(b);
    if (!take(b)) return std::nullopt;
    return limiter_token(*this, b);
}

std::optional<limiter_token> capacity_limiter::try_acquire_on_behalf_of(const void* borrower) {
    const detail::limiter_borrower b{.object = borrower};
    require_new(b);
    if (!take(b)) return std::nullopt;
    return limiter_token(*this, b);
}

// A task waits for one thing at a time, so only objects have to be looked for among those who wait.
void capacity_limiter::require_new(const detail::limiter_borrower& b) const {
    if (!b.known()) return;
    if (std::find(borrowers_.begin(), borrowers_.end(), b) != borrowers_.end())
        detail::throw_logic_error(
            "capacity_limiter: this borrower has a token already; release it before it takes another");
    if (!b.object) return;
    for (const detail::queued_operation* w = waiters_.front(); w; w = waiters_.next(*w)) {
        if (static_cast<const detail::limiter_acquire*>(w)->borrower_ == b)
            detail::throw_logic_error("capacity_limiter: this borrower waits for a token already");
    }
}

bool capacity_limiter::take(const detail::limiter_borrower& b) {
    if (borrowed_ >= total_) return false;
    if (b.known()) borrowers_.push_back(b);
    ++borrowed_;
    return true;
}

void capacity_limiter::give_back(const detail::limiter_borrower& b) noexcept {
    if (b.known()) {
        *std::find(borrowers_.begin(), borrowers_.end(), b) = borrowers_.back();
        borrowers_.pop_back();
    }
    --borrowed_;
    serve();
}

// Allocates nothing: there is room for the borrowers, see `set_total` and `limiter_acquire::try_now`.
void capacity_limiter::serve() noexcept {
    while (auto* const next = static_cast<detail::limiter_acquire*>(waiters_.front())) {
        if (!take(next->borrower_)) return;
        waiters_.erase(*next);
        next->grant(); // it has the token from here on
    }
}

namespace detail {

bool limiter_acquire::try_now() {
    if (for_task_) borrower_ = {.task = task().principal().id()};
    limiter_->require_new(borrower_);
    if (limiter_->take(borrower_)) return true;
    limiter_->borrowers_.reserve(static_cast<std::size_t>(limiter_->total_)); // not more than are out
    return false;
}

} // namespace detail
} // namespace eddy
