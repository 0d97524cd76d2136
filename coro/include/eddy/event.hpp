// event: a flag that tasks wait for.
#pragma once

#include <cstddef>
#include <string_view>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>

namespace eddy {

namespace detail {
class event_wait;
}

/// After asyncio.Event. `set` releases everybody who waits, first come first; who waits is released even if `clear`
/// follows at once. Loop thread only; the event must outlive its waiters.
class event {
public:
    event() noexcept = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;
    ~event() = default;

    /// Sets the flag and makes every waiter ready, in order.
    void set() noexcept {
        set_ = true;
        while (detail::queued_operation* w = waiters_.pop_front()) w->grant();
    }
    void clear() noexcept { set_ = false; }
    [[nodiscard]] bool is_set() const noexcept { return set_; }
    /// Tasks that wait.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiters_.size(); }

    /// Awaitable: until the event is set. Checkpoint; cancelled, nothing happened; a waiter that `set` has released
    /// returns normally (R2). Does not suspend if the event is set, within the budget.
    detail::event_wait wait() noexcept EDDY_LIFETIMEBOUND;

private:
    friend class detail::event_wait;
    detail::wait_queue waiters_;
    bool set_ = false;
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] event_wait final : public queued<event_wait> {
public:
    explicit event_wait(event& e) noexcept : queued(e.waiters_), event_(&e) {}
    [[nodiscard]] bool try_now() const noexcept { return event_->set_; }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "event"; }

private:
    event* event_;
};

} // namespace detail

inline detail::event_wait event::wait() noexcept EDDY_LIFETIMEBOUND {
    return detail::event_wait(*this);
}

} // namespace eddy
