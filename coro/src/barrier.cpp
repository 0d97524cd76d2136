#include <eddy/barrier.hpp>

#include <eddy/errors.hpp>

#include <stdexcept>
#include <string>

namespace eddy {

barrier::barrier(std::ptrdiff_t parties) : parties_(static_cast<std::size_t>(parties)) {
    if (parties < 1)
        throw std::invalid_argument("barrier: it needs at least one party (" + std::to_string(parties) + ")");
}

void barrier::reset() noexcept {
    refuse();
    broken_ = false;
}

void barrier::abort() noexcept {
    broken_ = true;
    refuse();
}

// Numbers are given here, not on arrival: a party may have left meanwhile.
void barrier::release() noexcept {
    std::size_t index = 0;
    while (auto* next = static_cast<detail::barrier_wait*>(waiters_.pop_front())) {
        next->index_ = index++;
        next->grant();
    }
    waiting_ = 0;
}

void barrier::refuse() noexcept {
    while (auto* next = static_cast<detail::barrier_wait*>(waiters_.pop_front())) {
        next->refused_ = true;
        next->grant();
    }
    waiting_ = 0;
}

namespace detail {

bool barrier_wait::try_now() {
    if (barrier_->broken_) throw broken_barrier("the barrier was aborted; reset() makes it usable again");
    if (barrier_->waiting_ + 1 < barrier_->parties_) return false;
    index_ = barrier_->waiting_;
    barrier_->release();
    return true;
}

std::size_t barrier_wait::take() const {
    if (refused_) throw broken_barrier("the barrier was reset or aborted while this task waited");
    return index_;
}

} // namespace detail
} // namespace eddy
