// mutex: mutual exclusion between tasks of one loop, across their awaits.
//
//     auto guard = co_await m.lock();      // released when the guard goes
#pragma once

#include <mutex> // std::adopt_lock
#include <optional>
#include <string_view>
#include <utility>

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
        std::swap(mutex_, o.mutex_);
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
    mutex* mutex_ = nullptr;
};

namespace detail {
class mutex_lock;
}

/// Unlocking hands the lock to the first waiter directly: nobody barges in, and `locked()` stays true in between (R8).
/// Loop thread only; must outlive guards and waiters.
class mutex {
public:
    mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    ~mutex() = default;

    /// Awaitable: a guard. Checkpoint; cancelled, the lock was not taken; a waiter that was granted the lock gets it
    /// even if it is cancelled in that tick (R2). Does not suspend if the mutex is free, within the budget.
    [[nodiscard]] detail::mutex_lock lock() noexcept;
    /// A guard if the mutex is free, at once.
    [[nodiscard]] std::optional<mutex_guard> try_lock() noexcept;
    [[nodiscard]] bool locked() const noexcept { return locked_; }

private:
    friend class detail::mutex_lock;
    friend class mutex_guard;
    void release() noexcept {
        if (detail::queued_operation* next = waiters_.pop_front())
            next->grant(); // it owns the lock from here on
        else
            locked_ = false;
    }
    detail::wait_queue waiters_;
    bool locked_ = false;
};

// --- implementation

namespace detail {

class mutex_lock final : public queued<mutex_lock> {
public:
    explicit mutex_lock(mutex& m) noexcept : queued(m.waiters_), mutex_(&m) {}
    [[nodiscard]] bool try_now() noexcept { return !std::exchange(mutex_->locked_, true); }
    [[nodiscard]] mutex_guard take() noexcept { return mutex_guard(*mutex_, std::adopt_lock); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "mutex"; }

private:
    mutex* mutex_;
};

} // namespace detail

inline detail::mutex_lock mutex::lock() noexcept {
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
