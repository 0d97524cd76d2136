// shared_mutex: one writer or any number of readers, across their awaits.
//
//     auto writing = co_await rw.lock();              // alone; released when the guard goes
//     auto reading = co_await rw.lock_shared();       // together with other readers
#pragma once

#include <cstddef>
#include <mutex> // std::adopt_lock
#include <optional>
#include <string_view>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/errors.hpp>

namespace eddy {

class shared_mutex;

/// Which of the two locks of a `shared_mutex` a guard owns.
enum class lock_kind : bool { exclusive, shared };

/// Owns one lock of a shared mutex and gives it back at the end of its life, or earlier by `unlock`. Move-only.
template <lock_kind Kind>
class [[nodiscard("the lock is given back when the guard goes: keep it in a variable")]] shared_mutex_guard {
public:
    shared_mutex_guard() noexcept = default;
    shared_mutex_guard(shared_mutex_guard&& o) noexcept : mutex_(std::exchange(o.mutex_, nullptr)) {}
    shared_mutex_guard& operator=(shared_mutex_guard&& o) noexcept {
        shared_mutex_guard(std::move(o)).swap(*this); // what this one had goes now
        return *this;
    }
    ~shared_mutex_guard() {
        if (mutex_) unlock();
    }
    /// Throws `std::logic_error` if it owns nothing.
    void unlock();
    [[nodiscard]] bool owns_lock() const noexcept { return mutex_ != nullptr; }
    [[nodiscard]] explicit operator bool() const noexcept { return owns_lock(); }

    shared_mutex_guard(shared_mutex& m, std::adopt_lock_t) noexcept : mutex_(&m) {} // for the library
    [[nodiscard]] shared_mutex* owner() const noexcept { return mutex_; }

private:
    void swap(shared_mutex_guard& o) noexcept { std::swap(mutex_, o.mutex_); }
    shared_mutex* mutex_ = nullptr;
};

namespace detail {
class shared_mutex_wait;
template <lock_kind Kind>
class shared_mutex_lock;
} // namespace detail

/// First come, first served: a writer that waits stops the readers that come after it, so neither side starves the
/// other. A reader that holds its lock and asks for another can therefore wait for ever; take one. What is released
/// goes to the first waiter directly, together with the readers right behind it if it is a reader (R8).
/// Loop thread only; must outlive guards and waiters.
class shared_mutex {
public:
    using guard = shared_mutex_guard<lock_kind::exclusive>;
    using shared_guard = shared_mutex_guard<lock_kind::shared>;

    shared_mutex() noexcept = default;
    shared_mutex(const shared_mutex&) = delete;
    shared_mutex& operator=(const shared_mutex&) = delete;
    ~shared_mutex() = default;

    /// Awaitable: a guard of the exclusive lock. Checkpoint; cancelled, the lock was not taken, and readers that waited
    /// only for this writer go on; a waiter that was granted the lock gets it even if it is cancelled in that tick
    /// (R2). Does not suspend if nobody holds a lock, within the budget.
    detail::shared_mutex_lock<lock_kind::exclusive> lock() noexcept EDDY_LIFETIMEBOUND;
    /// Awaitable: a guard of the shared lock. The same; does not suspend unless a writer holds the lock or waits.
    detail::shared_mutex_lock<lock_kind::shared> lock_shared() noexcept EDDY_LIFETIMEBOUND;
    /// A guard if `lock` would not wait.
    [[nodiscard]] std::optional<guard> try_lock() noexcept;
    /// A guard if `lock_shared` would not wait: nothing either while a writer waits.
    [[nodiscard]] std::optional<shared_guard> try_lock_shared() noexcept;

    /// A writer holds it.
    [[nodiscard]] bool locked() const noexcept { return writing_; }
    /// Readers that hold it.
    [[nodiscard]] std::size_t readers() const noexcept { return readers_; }
    /// Tasks that wait, of both kinds.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

private:
    friend class detail::shared_mutex_wait;
    template <lock_kind Kind>
    friend class shared_mutex_guard;
    [[nodiscard]] bool take(lock_kind kind) noexcept;
    void release(lock_kind kind) noexcept;
    void serve() noexcept;
    detail::wait_queue waiters_; // not empty only while somebody holds a lock
    std::size_t readers_ = 0;
    bool writing_ = false;
};

// --- implementation

namespace detail {

class shared_mutex_wait : public queued_operation {
public:
    bool begin() final { return try_now() || start(); }
    [[nodiscard]] bool try_now() noexcept { return mutex_->waiters_.empty() && mutex_->take(kind_); }
    bool start() noexcept {
        enqueue();
        return false;
    }
    bool abort() noexcept final {
        static_cast<void>(queued_operation::abort());
        if (!orphaned()) mutex_->serve();
        return true;
    }
    [[nodiscard]] std::string_view waits_for() const noexcept final { return "shared_mutex"; }

protected:
    shared_mutex_wait(shared_mutex& m, lock_kind kind) noexcept
        : queued_operation(m.waiters_), mutex_(&m), kind_(kind) {}
    shared_mutex_wait(shared_mutex_wait&&) noexcept = default;
    ~shared_mutex_wait() = default;
    shared_mutex* mutex_;

private:
    friend class eddy::shared_mutex;
    lock_kind kind_;
};

template <lock_kind Kind>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] shared_mutex_lock final : public shared_mutex_wait {
public:
    explicit shared_mutex_lock(shared_mutex& m) noexcept : shared_mutex_wait(m, Kind) {}
    [[nodiscard]] shared_mutex_guard<Kind> take() noexcept { return {*mutex_, std::adopt_lock}; }
};

} // namespace detail

inline detail::shared_mutex_lock<lock_kind::exclusive> shared_mutex::lock() noexcept EDDY_LIFETIMEBOUND {
    return detail::shared_mutex_lock<lock_kind::exclusive>(*this);
}
inline detail::shared_mutex_lock<lock_kind::shared> shared_mutex::lock_shared() noexcept EDDY_LIFETIMEBOUND {
    return detail::shared_mutex_lock<lock_kind::shared>(*this);
}
template <lock_kind Kind>
void shared_mutex_guard<Kind>::unlock() {
    if (!mutex_) detail::throw_logic_error("shared_mutex_guard::unlock: the guard owns no lock");
    std::exchange(mutex_, nullptr)->release(Kind);
}

} // namespace eddy
