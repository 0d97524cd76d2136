// semaphore: a number of permits that tasks of one loop share.
//
//     auto permit = co_await s.acquire();      // given back when the permit goes
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

class semaphore;

/// One permit. Gives itself back at the end of its life. Move-only.
class [[nodiscard("the permit is given back when this object goes: keep it in a variable")]] semaphore_permit {
public:
    semaphore_permit() noexcept = default;
    semaphore_permit(semaphore_permit&& o) noexcept : semaphore_(std::exchange(o.semaphore_, nullptr)) {}
    semaphore_permit& operator=(semaphore_permit&& o) noexcept {
        semaphore_permit(std::move(o)).swap(*this); // what this one had goes now
        return *this;
    }
    ~semaphore_permit() { release(); }
    /// Gives the permit back now.
    void release() noexcept;
    /// Hands the permit over: somebody else will call `semaphore::release()` for it.
    void detach() noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return semaphore_ != nullptr; }

    explicit semaphore_permit(semaphore& s) noexcept : semaphore_(&s) {} // for the library

private:
    void swap(semaphore_permit& o) noexcept { std::swap(semaphore_, o.semaphore_); }
    semaphore* semaphore_ = nullptr;
};

namespace detail {
class semaphore_acquire;
}

/// A released permit goes to the first waiter directly (R8). Loop thread only; must outlive permits and waiters.
class semaphore {
public:
    /// Throws `std::invalid_argument` for a negative number. `bound`: the number that `release` may not exceed.
    explicit semaphore(std::ptrdiff_t permits, std::optional<std::ptrdiff_t> bound = std::nullopt);
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore() = default;

    /// Awaitable: a permit. Checkpoint; cancelled, none was taken; a waiter that was granted one gets it even if it is
    /// cancelled in that tick (R2). Does not suspend if a permit is free, within the budget.
    detail::semaphore_acquire acquire() noexcept EDDY_LIFETIMEBOUND;
    [[nodiscard]] std::optional<semaphore_permit> try_acquire() noexcept;
    /// Adds one permit. Throws `std::logic_error` above the bound; permits that are out count, unless they were detached.
    void release();
    /// True if the next `acquire` would wait.
    [[nodiscard]] bool locked() const noexcept { return free_ == 0; }
    [[nodiscard]] std::ptrdiff_t available() const noexcept { return free_; }
    /// Tasks that wait.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

private:
    friend class detail::semaphore_acquire;
    friend class semaphore_permit;
    void add() noexcept {
        if (detail::queued_operation* next = waiters_.pop_front()) {
            ++held_;
            next->grant();
        } else {
            ++free_;
        }
    }
    void give_back() noexcept {
        --held_;
        add();
    }
    [[nodiscard]] bool take() noexcept {
        if (free_ == 0) return false;
        --free_;
        ++held_;
        return true;
    }
    detail::wait_queue waiters_;
    std::ptrdiff_t free_;
    std::ptrdiff_t held_ = 0; // by permit objects, those on their way to a waiter included
    std::ptrdiff_t bound_;
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] semaphore_acquire final : public queued<semaphore_acquire> {
public:
    explicit semaphore_acquire(semaphore& s) noexcept : queued(s.waiters_), semaphore_(&s) {}
    [[nodiscard]] bool try_now() noexcept { return semaphore_->take(); }
    [[nodiscard]] semaphore_permit take() noexcept { return semaphore_permit(*semaphore_); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "semaphore"; }

private:
    semaphore* semaphore_;
};

} // namespace detail

inline detail::semaphore_acquire semaphore::acquire() noexcept EDDY_LIFETIMEBOUND {
    return detail::semaphore_acquire(*this);
}
inline void semaphore_permit::release() noexcept {
    if (semaphore* s = std::exchange(semaphore_, nullptr)) s->give_back();
}
inline void semaphore_permit::detach() noexcept {
    if (semaphore* s = std::exchange(semaphore_, nullptr)) --s->held_;
}

} // namespace eddy
