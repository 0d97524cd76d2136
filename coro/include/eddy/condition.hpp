// condition: tasks wait until something that a mutex protects has changed.
//
//     mutex m;
//     condition c{m};
//     auto guard = co_await m.lock();
//     co_await c.wait(guard, [&] { return !items.empty(); });     // the mutex is free meanwhile, held when it is over
//
//     c.notify();                                                 // by a task that holds the mutex
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/promise.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/mutex.hpp>
#include <eddy/task.hpp>

namespace eddy {

class condition;

namespace detail {

class condition_wait;

/// A waiter as its condition knows it once it was notified: it then stands in the mutex's queue, not in the
/// condition's.
struct notified_waiter {
    explicit notified_waiter(condition& c) noexcept : from(&c) {}
    list_link<notified_waiter> notified_link;
    condition* from; // null if that is gone
};

} // namespace detail

/// After asyncio.Condition. A notified waiter goes straight to the end of the mutex's queue: it resumes once the
/// notifier, and whoever waited for the mutex before, has released it. However a wait ends, the mutex is held again
/// (R9). Loop thread only; must outlive its waiters, and the mutex both.
class condition {
public:
    explicit condition(mutex& m) noexcept : mutex_(&m) {}
    condition(const condition&) = delete;
    condition& operator=(const condition&) = delete;
    ~condition();

    /// Awaitable: unlocks the mutex, waits for a notification, locks the mutex again. While it waits, `guard` owns
    /// nothing. Wake-ups without a notification are allowed, so test what you wait for; the form with a predicate does.
    /// Checkpoint; cancelled, it throws when the mutex is held again, and however long that takes; a notification that
    /// it had received goes on to the next waiter. Notified and given the mutex, it returns normally even if it is
    /// cancelled in that tick (R2); the next waiter is then notified as well, as this one is about to leave.
    /// Throws `std::logic_error` if `guard` does not own this condition's mutex.
    detail::condition_wait wait(mutex_guard& guard) noexcept EDDY_LIFETIMEBOUND;
    /// Awaitable: the same until `pred()` holds; does not wait if it holds already. `pred` is called by the waiting
    /// task, with the mutex held; what it throws leaves the wait. Checkpoint in any case.
    template <class F>
        requires std::predicate<std::decay_t<F>&>
    [[nodiscard]] auto wait(mutex_guard& guard, F&& pred) -> detail::hazard_t<task<>, F> {
        return wait_until<std::decay_t<F>>(*this, guard, std::forward<F>(pred));
    }

    /// Wakes the `n` tasks that have waited longest, or as many as there are. They resume when they get the mutex.
    /// Throws `std::logic_error` if nobody holds the mutex.
    void notify(std::size_t n = 1);
    void notify_all() { notify(static_cast<std::size_t>(-1)); }
    /// Tasks that wait and were not notified.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

private:
    friend class detail::condition_wait;
    void require_held(const mutex_guard& guard) const;
    bool wake_one() noexcept;
    template <class F>
    static task<> wait_until(condition& c, mutex_guard& guard, F pred);

    mutex* mutex_;
    detail::wait_queue waiters_;
    detail::intrusive_list<detail::notified_waiter, &detail::notified_waiter::notified_link> notified_;
};

// --- implementation

namespace detail {

// Waits in the condition's queue, then in the mutex's. An `abort` in either only ends the wait for a notification: the
// operation stays until it has the mutex.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] condition_wait final : public queued_operation, private notified_waiter {
public:
    condition_wait(condition& c, mutex_guard& guard) noexcept
        : queued_operation(c.waiters_), notified_waiter(c), mutex_(c.mutex_), guard_(&guard) {}
    condition_wait(condition_wait&&) noexcept = default;

    bool begin() override { return try_now() || start(); }
    [[nodiscard]] bool try_now() const {
        from->require_held(*guard_);
        return false;
    }
    bool start() noexcept {
        enqueue();
        mutex_guard(std::move(*guard_)).unlock();
        return false;
    }
    bool abort() noexcept override;
    void take() noexcept;
    [[nodiscard]] std::string_view waits_for() const noexcept override { return notified_ ? "mutex" : "condition"; }

private:
    friend class eddy::condition;
    void notify() noexcept;
    [[nodiscard]] bool leave_notified() noexcept;
    void regain() noexcept { *guard_ = mutex_guard(*mutex_, std::adopt_lock); }
    void granted_late() noexcept override;
    mutex* mutex_;
    mutex_guard* guard_;
    bool notified_ = false;
};

} // namespace detail

inline detail::condition_wait condition::wait(mutex_guard& guard) noexcept EDDY_LIFETIMEBOUND {
    return detail::condition_wait(*this, guard);
}

template <class F>
task<> condition::wait_until(condition& c, mutex_guard& guard, F pred) {
    co_await detail::entry_check();
    c.require_held(guard);
    while (!std::invoke(pred)) co_await c.wait(guard);
}

} // namespace eddy
