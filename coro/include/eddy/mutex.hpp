// mutex: mutual exclusion between tasks of one loop, across their awaits.
//
//     auto guard = co_await m.lock();      // released when the guard goes
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex> // std::adopt_lock
#include <optional>
#include <string_view>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

class mutex;

/// Owns a locked mutex and unlocks it at the end of its life, or earlier by `unlock`. Move-only.
class [[nodiscard("the mutex is unlocked when the guard goes: keep it in a variable")]] mutex_guard {
public:
    mutex_guard() noexcept = default;
    mutex_guard(mutex_guard&& o) noexcept : mutex_(std::exchange(o.mutex_, nullptr)) {}
    mutex_guard& operator=(mutex_guard&& o) noexcept {
        mutex_guard(std::move(o)).swap(*this); // what this one had goes now
        return *this;
    }
    ~mutex_guard() {
        if (mutex_) unlock();
    }
    /// Throws `std::logic_error` if it owns nothing.
    void unlock();
    [[nodiscard]] bool owns_lock() const noexcept { return mutex_ != nullptr; }
    [[nodiscard]] explicit operator bool() const noexcept { return owns_lock(); }

    mutex_guard(mutex& m, std::adopt_lock_t) noexcept : mutex_(&m) {} // for the library
    [[nodiscard]] mutex* owner() const noexcept { return mutex_; }

private:
    void swap(mutex_guard& o) noexcept { std::swap(mutex_, o.mutex_); }
    mutex* mutex_ = nullptr;
};

namespace detail {
class condition_wait;
class mutex_lock;
} // namespace detail

/// Unlocking hands the lock to the first waiter directly: nobody barges in, and `locked()` stays true in between (R8).
/// Loop thread only; must outlive guards and waiters.
class mutex {
public:
    mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    ~mutex() = default;

    /// Awaitable: a guard. Checkpoint; cancelled, the lock was not taken; a waiter that was granted the lock gets it
    /// even if it is cancelled in that tick (R2). Does not suspend if the mutex is free, within the budget. Debug mode:
    /// `std::logic_error` in the task that locked it and has not unlocked it.
    detail::mutex_lock lock() noexcept EDDY_LIFETIMEBOUND;
    /// A guard if the mutex is free, at once.
    [[nodiscard]] std::optional<mutex_guard> try_lock() noexcept;
    [[nodiscard]] bool locked() const noexcept { return locked_; }
    /// Tasks that wait, those included that a condition has notified.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

private:
    friend class detail::condition_wait;
    friend class detail::mutex_lock;
    friend class mutex_guard;
    void release() noexcept {
        holder_ = 0;
        if (detail::queued_operation* next = waiters_.pop_front())
            next->grant(); // it owns the lock from here on
        else
            locked_ = false;
    }
    detail::wait_queue waiters_;
    std::uint64_t holder_ = 0; // the task that took the lock, for debug mode
    bool locked_ = false;
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] mutex_lock final : public queued<mutex_lock> {
public:
    explicit mutex_lock(mutex& m) noexcept : queued(m.waiters_), mutex_(&m) {}
    [[nodiscard]] bool try_now() {
        if (!std::exchange(mutex_->locked_, true)) return true;
        if (mutex_->holder_ == task().id() && task().loop().debug()) [[unlikely]]
            throw_logic_error("mutex::lock: this task has locked the mutex already and would wait for itself");
        return false;
    }
    [[nodiscard]] mutex_guard take() noexcept {
        mutex_->holder_ = task().id();
        return mutex_guard(*mutex_, std::adopt_lock);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "mutex"; }

private:
    mutex* mutex_;
};

} // namespace detail

inline detail::mutex_lock mutex::lock() noexcept EDDY_LIFETIMEBOUND {
    return detail::mutex_lock(*this);
}
inline std::optional<mutex_guard> mutex::try_lock() noexcept {
    if (std::exchange(locked_, true)) return std::nullopt;
    return mutex_guard(*this, std::adopt_lock);
}
inline void mutex_guard::unlock() {
    if (!mutex_) detail::throw_logic_error("mutex_guard::unlock: the guard owns no lock");
    std::exchange(mutex_, nullptr)->release();
}

} // namespace eddy
