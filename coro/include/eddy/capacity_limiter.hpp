// capacity_limiter: how many may do something at a time; a semaphore that knows its borrowers and can be resized.
//
//     capacity_limiter l{4};
//     auto token = co_await l.acquire();      // given back when the token goes
//     l.set_total(8);
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>

namespace eddy {

class capacity_limiter;

namespace detail {

class limiter_acquire;

/// On whose behalf a token is out: an object, else a task by its id, else nobody in particular.
struct limiter_borrower {
    const void* object = nullptr;
    std::uint64_t task = 0;
    [[nodiscard]] bool known() const noexcept { return object != nullptr || task != 0; }
    friend bool operator==(const limiter_borrower&, const limiter_borrower&) = default;
};

} // namespace detail

/// The right to go on. Gives itself back at the end of its life. Move-only.
class [[nodiscard("the token is given back when this object goes: keep it in a variable")]] limiter_token {
public:
    limiter_token() noexcept = default;
    limiter_token(limiter_token&& o) noexcept : limiter_(std::exchange(o.limiter_, nullptr)), borrower_(o.borrower_) {}
    limiter_token& operator=(limiter_token&& o) noexcept {
        limiter_token(std::move(o)).swap(*this); // what this one had goes now
        return *this;
    }
    ~limiter_token() { release(); }
    /// Gives the token back now.
    void release() noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return limiter_ != nullptr; }

    // for the library
    limiter_token(capacity_limiter& l, detail::limiter_borrower b) noexcept : limiter_(&l), borrower_(b) {}

private:
    void swap(limiter_token& o) noexcept {
        std::swap(limiter_, o.limiter_);
        std::swap(borrower_, o.borrower_);
    }
    capacity_limiter* limiter_ = nullptr;
    detail::limiter_borrower borrower_;
};

/// After trio.CapacityLimiter. A token that comes back goes to the first waiter directly (R8). A borrower has one token
/// at most, so that a task cannot wait for itself. Loop thread only; must outlive tokens and waiters.
class capacity_limiter {
public:
    /// Throws `std::invalid_argument` for a negative number. With 0 nobody passes.
    explicit capacity_limiter(std::ptrdiff_t total);
    capacity_limiter(const capacity_limiter&) = delete;
    capacity_limiter& operator=(const capacity_limiter&) = delete;
    ~capacity_limiter() = default;

    /// Awaitable: a token for the current task. Checkpoint; cancelled, none was taken; a waiter that was granted one
    /// gets it even if it is cancelled in that tick (R2). Does not suspend if one is free, within the budget.
    /// Throws `std::logic_error` if this task has a token of this limiter already.
    detail::limiter_acquire acquire() noexcept EDDY_LIFETIMEBOUND;
    /// Awaitable: the same for an object instead of the task; its address is compared, nothing else. Throws
    /// `std::logic_error` if that object has a token or waits for one.
    detail::limiter_acquire acquire_on_behalf_of(const void* borrower) noexcept;
    /// A token if one is free, at once; throws as `acquire`, and outside of tasks.
    [[nodiscard]] std::optional<limiter_token> try_acquire();
    [[nodiscard]] std::optional<limiter_token> try_acquire_on_behalf_of(const void* borrower);

    /// Raised, as many waiters as now fit are granted at once; lowered, nobody loses a token, and the next is granted
    /// when fewer are out. Throws `std::invalid_argument` for a negative number.
    void set_total(std::ptrdiff_t total);
    [[nodiscard]] std::ptrdiff_t total() const noexcept { return total_; }
    /// Tokens that are out; more than the total after that was lowered.
    [[nodiscard]] std::ptrdiff_t borrowed() const noexcept { return borrowed_; }
    [[nodiscard]] std::ptrdiff_t available() const noexcept { return borrowed_ < total_ ? total_ - borrowed_ : 0; }
    /// Tasks that wait.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

    /// For the library: a token that belongs to nobody in particular.
    detail::limiter_acquire acquire_for_call() noexcept;

private:
    friend class detail::limiter_acquire;
    friend class limiter_token;
    void require_new(const detail::limiter_borrower& b) const;
    [[nodiscard]] bool take(const detail::limiter_borrower& b);
    void give_back(const detail::limiter_borrower& b) noexcept;
    void serve() noexcept;

    detail::wait_queue waiters_; // not empty only while none is available
    std::ptrdiff_t total_;
    std::ptrdiff_t borrowed_ = 0;
    std::vector<detail::limiter_borrower> borrowers_; // the known ones; few, and searched one by one
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] limiter_acquire final : public queued<limiter_acquire> {
public:
    limiter_acquire(wait_queue& q, capacity_limiter& l, limiter_borrower b, bool for_task) noexcept
        : queued(q), limiter_(&l), borrower_(b), for_task_(for_task) {}
    [[nodiscard]] bool try_now();
    [[nodiscard]] limiter_token take() noexcept { return {*limiter_, borrower_}; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "capacity_limiter"; }

private:
    friend class eddy::capacity_limiter;
    capacity_limiter* limiter_;
    limiter_borrower borrower_;
    bool for_task_; // its id is known when the operation begins
};

} // namespace detail

inline detail::limiter_acquire capacity_limiter::acquire() noexcept EDDY_LIFETIMEBOUND {
    return {waiters_, *this, {}, true};
}
inline detail::limiter_acquire capacity_limiter::acquire_on_behalf_of(const void* borrower) noexcept {
    return {waiters_, *this, {.object = borrower}, false};
}
inline detail::limiter_acquire capacity_limiter::acquire_for_call() noexcept {
    return {waiters_, *this, {}, false};
}
inline void limiter_token::release() noexcept {
    if (capacity_limiter* l = std::exchange(limiter_, nullptr)) l->give_back(borrower_);
}

} // namespace eddy
