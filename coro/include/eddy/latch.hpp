// latch: tasks wait until something has happened a number of times. Used once.
//
//     latch ready{3};
//     ready.count_down();              // three times, by anybody
//     co_await ready.wait();
#pragma once

#include <cstddef>
#include <string_view>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>

namespace eddy {

namespace detail {
class latch_wait;
class latch_arrive;
} // namespace detail

/// After std::latch. The count only falls; at 0 everybody who waits is released, first come first.
/// Loop thread only; must outlive its waiters.
class latch {
public:
    /// Throws `std::invalid_argument` for a negative count. With 0 nobody waits.
    explicit latch(std::ptrdiff_t count);
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;
    ~latch() = default;

    /// Lowers the count by `n`; at 0 makes every waiter ready, in order. Throws `std::logic_error`, and changes
    /// nothing, if `n` is negative or more than is left.
    void count_down(std::ptrdiff_t n = 1);
    /// True if the count is 0: `wait` would not wait.
    [[nodiscard]] bool try_wait() const noexcept { return count_ == 0; }
    /// Awaitable: until the count is 0. Checkpoint; cancelled, nothing happened; a waiter that was released returns
    /// normally (R2). Does not suspend if the count is 0, within the budget.
    detail::latch_wait wait() noexcept EDDY_LIFETIMEBOUND;
    /// Awaitable: `count_down(n)`, then as `wait`. Checkpoint; cancelled on entry, nothing was counted; cancelled while
    /// it waits, the arrival stays counted. Throws as `count_down`.
    detail::latch_arrive arrive_and_wait(std::ptrdiff_t n = 1) noexcept EDDY_LIFETIMEBOUND;

    /// What is left to count.
    [[nodiscard]] std::ptrdiff_t count() const noexcept { return count_; }
    /// Tasks that wait.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

private:
    friend class detail::latch_wait;
    friend class detail::latch_arrive;
    detail::wait_queue waiters_;
    std::ptrdiff_t count_;
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] latch_wait final : public queued<latch_wait> {
public:
    explicit latch_wait(latch& l) noexcept : queued(l.waiters_), latch_(&l) {}
    [[nodiscard]] bool try_now() const noexcept { return latch_->try_wait(); }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "latch"; }

private:
    latch* latch_;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] latch_arrive final : public queued<latch_arrive> {
public:
    latch_arrive(latch& l, std::ptrdiff_t n) noexcept : queued(l.waiters_), latch_(&l), n_(n) {}
    [[nodiscard]] bool try_now() {
        latch_->count_down(n_);
        return latch_->try_wait();
    }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "latch"; }

private:
    latch* latch_;
    std::ptrdiff_t n_;
};

} // namespace detail

inline detail::latch_wait latch::wait() noexcept EDDY_LIFETIMEBOUND {
    return detail::latch_wait(*this);
}
inline detail::latch_arrive latch::arrive_and_wait(std::ptrdiff_t n) noexcept EDDY_LIFETIMEBOUND {
    return detail::latch_arrive(*this, n);
}

} // namespace eddy
