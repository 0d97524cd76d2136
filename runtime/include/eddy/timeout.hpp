// Deadlines on blocks: with_timeout, move_on_after, wait_for.
//
//     auto page = co_await with_timeout(2s, [&](cancel_scope&) { return fetch(url); });    // throws timeout_error
//     auto maybe = co_await move_on_after(2s, [&](cancel_scope&) { return fetch(url); });  // std::optional
//     int v = co_await wait_for(f(1), 2s);
//
// The block runs inline, in a cancel scope with a deadline. It is the loop that notices deadlines: a block that never
// suspends is never timed out. When the deadline passes, the operation that the block waits for is aborted and the block
// unwinds, its cleanup included, before the verb returns; so it can take longer than the deadline. A value that was on its
// way at the deadline is returned (R2). `timeout_error` is thrown only if this verb's own scope caught the cancellation
// (R6): a timeout or a cancel from outside passes through.
#pragma once

#include <chrono>
#include <optional>
#include <source_location>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/errors.hpp>

namespace eddy {

/// Runs `fn(scope)`; throws `timeout_error` after `d`. `scope.reschedule` moves the deadline.
template <class Rep, class Period, class F>
auto with_timeout(std::chrono::duration<Rep, Period> d, F&& fn, std::source_location site = std::source_location::current())
    -> detail::hazard_t<task<detail::body_value_t<F>>, F>;
/// Runs `fn(scope)`; gives up quietly after `d`: nullopt, or false for `task<>` (R15).
template <class Rep, class Period, class F>
auto move_on_after(std::chrono::duration<Rep, Period> d, F&& fn)
    -> detail::hazard_t<task<detail::maybe_t<detail::body_value_t<F>>>, F>;
/// A shield that lasts at most `d`: cancellations from outside do not reach `fn(scope)`, its own deadline does (R15).
template <class Rep, class Period, class F>
auto with_shield(std::chrono::duration<Rep, Period> d, F&& fn)
    -> detail::hazard_t<task<detail::maybe_t<detail::shield_value_t<F>>>, F>;
/// Awaits `a` for at most `d`, else throws `timeout_error`. A task or operation is cancelled and joined, a handle only
/// observed. With d <= 0 a task is destroyed unstarted; what is ready is still taken.
template <class A, class Rep, class Period>
    requires awaitable<A>
auto wait_for(A&& a, std::chrono::duration<Rep, Period> d, std::source_location site = std::source_location::current())
    -> detail::hazard_t<task<detail::owned_await_t<A>>, A>;

// --- implementation

namespace detail {

[[nodiscard]] loop_clock::time_point deadline_after(task_context& self, std::chrono::nanoseconds d);
/// Throws what a scope with a deadline that caught its cancellation stands for.
[[noreturn]] void throw_deadline(const cancel_scope& s, std::chrono::nanoseconds d, std::source_location site);

template <class T, class F>
task<T> run_with_timeout(std::chrono::nanoseconds d, F fn, std::source_location site) {
    task_context& self = co_await this_context();
    cancel_scope s(deadline_after(self, d));
    result_slot<T> result;
    co_await run_scoped<T>(s, false, fn, result);
    if (!result.has_value() && (!std::is_void_v<T> || s.expired())) throw_deadline(s, d, site);
    if constexpr (!std::is_void_v<T>) co_return result.take();
}

template <class T, class F>
task<maybe_t<T>> run_at_most(std::chrono::nanoseconds d, bool shield, F fn) {
    task_context& self = co_await this_context();
    cancel_scope s(deadline_after(self, d));
    result_slot<T> result;
    co_await run_scoped<T>(s, shield, fn, result);
    co_return to_maybe<T>(result);
}

template <class T, class A>
task<T> run_wait_for(A a, std::chrono::nanoseconds d, std::source_location site) {
    if constexpr (is_task<std::remove_cvref_t<A>>) {
        task_context& self = co_await this_context();
        if (self.cancel_pending() || d.count() <= 0) a.discard();
        co_await entry_check();
        if (d.count() <= 0) throw timeout_error(d, site);
    }
    auto body = [&a](cancel_scope&) -> task<T> { co_return co_await std::forward<A>(a); };
    co_return co_await run_with_timeout<T, decltype(body)&>(d, body, site);
}

} // namespace detail

template <class Rep, class Period, class F>
auto with_timeout(std::chrono::duration<Rep, Period> d, F&& fn, std::source_location site)
    -> detail::hazard_t<task<detail::body_value_t<F>>, F> {
    return detail::run_with_timeout<detail::body_value_t<F>, std::decay_t<F>>(detail::to_nanoseconds(d), std::forward<F>(fn), site);
}
template <class Rep, class Period, class F>
auto move_on_after(std::chrono::duration<Rep, Period> d, F&& fn)
    -> detail::hazard_t<task<detail::maybe_t<detail::body_value_t<F>>>, F> {
    return detail::run_at_most<detail::body_value_t<F>, std::decay_t<F>>(detail::to_nanoseconds(d), false, std::forward<F>(fn));
}
template <class Rep, class Period, class F>
auto with_shield(std::chrono::duration<Rep, Period> d, F&& fn)
    -> detail::hazard_t<task<detail::maybe_t<detail::shield_value_t<F>>>, F> {
    return detail::run_at_most<detail::shield_value_t<F>, std::decay_t<F>>(detail::to_nanoseconds(d), true, std::forward<F>(fn));
}
template <class A, class Rep, class Period>
    requires awaitable<A>
auto wait_for(A&& a, std::chrono::duration<Rep, Period> d, std::source_location site)
    -> detail::hazard_t<task<detail::owned_await_t<A>>, A> {
    using value = detail::owned_await_t<A>;
    if constexpr (std::is_lvalue_reference_v<A>)
        return detail::run_wait_for<value, A>(a, detail::to_nanoseconds(d), site);
    else
        return detail::run_wait_for<value, std::remove_cvref_t<A>>(detail::move_out(a), detail::to_nanoseconds(d), site);
}

} // namespace eddy
