// shutdown_signal: how the parts of a program are told to finish, and waited for.
//
//     task<> consume(shutdown_signal& stop) {
//         const auto busy = stop.hold();                              // `drained` waits for us
//         while (!stop.requested()) { auto job = co_await race(jobs.pop(), stop.wait()); … }
//     }
//     …
//     stop.request("deploy");
//     co_await move_on_after(30s, [&](cancel_scope&) -> task<> { co_await stop.drained(); });
//
// A request is no cancellation: nobody is interrupted, everybody can look and wait for it, and those who hold the signal end
// in their own time. Where a part should be cancelled by it, `until_shutdown` makes a scope of it. Signals form a tree: a
// request reaches the signals below, and `drained` waits for their holders too. After tokio's CancellationToken and TaskTracker.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/cancel_scope.hpp>
#include <eddy/detail/wait_queue.hpp>

namespace eddy {

class shutdown_signal;

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] shutdown_wait final : public queued<shutdown_wait> {
public:
    shutdown_wait(shutdown_signal& s, wait_queue& q, bool drained) noexcept : queued(q), signal_(&s), drained_(drained) {}
    [[nodiscard]] bool try_now() const noexcept;
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return drained_ ? "the holders of a shutdown_signal" : "shutdown_signal"; }

private:
    shutdown_signal* signal_;
    bool drained_;
};

/// A scope that a request cancels.
struct shutdown_scope {
    explicit shutdown_scope(cancel_scope& s) noexcept : scope(s) {}
    cancel_scope& scope;
    list_link<shutdown_scope> link;
};

} // namespace detail

/// Someone who is waited for; ends with its life. Move-only.
class [[nodiscard("the signal is held as long as this object lives: keep it in a variable")]] shutdown_hold {
public:
    shutdown_hold() noexcept = default;
    shutdown_hold(shutdown_hold&& o) noexcept : signal_(std::exchange(o.signal_, nullptr)) {}
    shutdown_hold& operator=(shutdown_hold&& o) noexcept {
        shutdown_hold(std::move(o)).swap(*this);
        return *this;
    }
    ~shutdown_hold();

    explicit shutdown_hold(shutdown_signal& s) noexcept : signal_(&s) {} // for the library

private:
    void swap(shutdown_hold& o) noexcept { std::swap(signal_, o.signal_); }
    shutdown_signal* signal_ = nullptr;
};

/// Loop thread only. Must outlive those who wait for it, hold it or run in its scopes; a parent must outlive its children.
class shutdown_signal {
public:
    shutdown_signal() noexcept = default;
    /// A signal below `parent`: requested with it, or alone. Requested from the start if `parent` is.
    explicit shutdown_signal(shutdown_signal& parent);
    shutdown_signal(const shutdown_signal&) = delete;
    shutdown_signal& operator=(const shutdown_signal&) = delete;
    ~shutdown_signal();

    /// Tells everybody, here and below: waiters become ready in order, scopes of `until_shutdown` are cancelled. The first
    /// reason stands; later requests do nothing.
    /// Throws `std::bad_alloc`, and has told nobody then.
    void request(std::string_view reason = {});
    [[nodiscard]] bool requested() const noexcept { return requested_; }
    /// That of the request; empty before.
    [[nodiscard]] std::string_view reason() const noexcept { return reason_ ? std::string_view(*reason_) : std::string_view(); }
    /// Awaitable: until it is requested. Checkpoint; cancelled, nothing happened.
    detail::shutdown_wait wait() noexcept EDDY_LIFETIMEBOUND { return {*this, waiters_, false}; }

    /// Makes `drained` wait for the object's end. Allowed after the request, too.
    [[nodiscard]] shutdown_hold hold() noexcept;
    /// Holders of this signal and of those below.
    [[nodiscard]] std::size_t holders() const noexcept { return holders_; }
    /// Awaitable: until it is requested and nobody holds it or a signal below. Checkpoint; cancelled, nothing happened.
    detail::shutdown_wait drained() noexcept EDDY_LIFETIMEBOUND { return {*this, drain_waiters_, true}; }

    // For until_shutdown.
    void enter(detail::shutdown_scope& s);
    void leave(detail::shutdown_scope& s) noexcept { scopes_.erase(s); }

private:
    friend class shutdown_hold;
    friend class detail::shutdown_wait;
    void release() noexcept;
    [[nodiscard]] bool is_drained() const noexcept { return requested_ && holders_ == 0; }
    void wake_drained() noexcept;

    detail::list_link<shutdown_signal> sibling_;
    detail::intrusive_list<shutdown_signal, &shutdown_signal::sibling_> children_;
    detail::intrusive_list<detail::shutdown_scope, &detail::shutdown_scope::link> scopes_;
    detail::wait_queue waiters_;
    detail::wait_queue drain_waiters_;
    shutdown_signal* parent_ = nullptr;
    void tell(const detail::scope_node::reason_ptr& reason) noexcept;
    detail::scope_node::reason_ptr reason_;
    std::size_t holders_ = 0;
    bool requested_ = false;
};

/// Runs `fn(scope)` in a scope that a request cancels, and returns as `move_on_after` does: `std::optional` of the value
/// (`bool` for `task<>`), nothing if the request ended it. No checkpoint of its own.
template <class F>
auto until_shutdown(shutdown_signal& signal, F&& fn) -> detail::hazard_t<task<detail::maybe_t<detail::body_value_t<F>>>, F>;

// --- implementation

namespace detail {

inline bool shutdown_wait::try_now() const noexcept {
    return drained_ ? signal_->is_drained() : signal_->requested();
}

class shutdown_scope_guard {
public:
    shutdown_scope_guard(shutdown_signal& signal, cancel_scope& s) : signal_(signal), entry_(s) { signal_.enter(entry_); }
    shutdown_scope_guard(const shutdown_scope_guard&) = delete;
    shutdown_scope_guard& operator=(const shutdown_scope_guard&) = delete;
    ~shutdown_scope_guard() { signal_.leave(entry_); }

private:
    shutdown_signal& signal_;
    shutdown_scope entry_;
};

template <class T, class F>
task<maybe_t<T>> run_until_shutdown(shutdown_signal& signal, F fn) {
    cancel_scope s;
    const shutdown_scope_guard listening(signal, s);
    result_slot<T> result;
    co_await run_scoped<T>(s, false, fn, result);
    co_return to_maybe<T>(result);
}

} // namespace detail

template <class F>
auto until_shutdown(shutdown_signal& signal, F&& fn) -> detail::hazard_t<task<detail::maybe_t<detail::body_value_t<F>>>, F> {
    return detail::run_until_shutdown<detail::body_value_t<F>, std::decay_t<F>>(signal, std::forward<F>(fn));
}

} // namespace eddy
