// Bodies of the verbs in <eddy/cancel_scope.hpp>.
#pragma once

#include <eddy/cancel_scope.hpp>

namespace eddy::detail {

/// Opens a scope for the current task and closes it on every way out.
class open_scope {
public:
    open_scope(cancel_scope& s, task_context& host, bool shield = false) : scope_(s) { s.open(host, shield); }
    open_scope(const open_scope&) = delete;
    open_scope& operator=(const open_scope&) = delete;
    ~open_scope() { scope_.close(); }

private:
    cancel_scope& scope_;
};

template <class F>
decltype(auto) call_body(F& fn, cancel_scope& s) {
    if constexpr (std::invocable<F&, cancel_scope&>)
        return std::invoke(fn, s);
    else
        return std::invoke(fn);
}

/// Runs `fn` inside `s`; `scoped_result.has_value()` is false if the scope caught the cancellation.
template <class T, class F>
task<> run_scoped(cancel_scope& s, bool shield, F& fn, result_slot<T>& result) {
    task_context& self = co_await this_context();
    const open_scope opened(s, self, shield);
    try {
        if constexpr (std::is_void_v<T>) {
            co_await call_body(fn, s);
            result.emplace();
        } else {
            result.emplace(co_await call_body(fn, s));
        }
    } catch (const operation_cancelled&) {
        if (!s.catch_cancellation()) throw;
    }
}

/// What came of a `run_scoped`, for the verbs that give up quietly.
template <class T>
[[nodiscard]] maybe_t<T> to_maybe(result_slot<T>& result) {
    if constexpr (std::is_void_v<T>) {
        return result.has_value();
    } else {
        maybe_t<T> maybe;
        if (result.has_value()) maybe.emplace(result.take());
        return maybe;
    }
}

[[noreturn]] void throw_scope_cancelled(const cancel_scope& s);

template <class T, class F>
task<T> run_in_scope(cancel_scope& s, bool shield, F fn) {
    result_slot<T> result;
    co_await run_scoped<T>(s, shield, fn, result);
    if constexpr (!std::is_void_v<T>) {
        if (!result.has_value()) throw_scope_cancelled(s);
        co_return result.take();
    }
}

template <class T, class F>
task<T> run_in_new_scope(bool shield, F fn) {
    cancel_scope s;
    result_slot<T> result;
    co_await run_scoped<T>(s, shield, fn, result);
    if constexpr (!std::is_void_v<T>) {
        if (!result.has_value()) throw_scope_cancelled(s);
        co_return result.take();
    }
}

template <class A>
task<await_result_t<A>> run_shielded(A a) {
    cancel_scope s;
    task_context& self = co_await this_context();
    const open_scope opened(s, self, true);
    co_return co_await std::forward<A>(a);
}

} // namespace eddy::detail

namespace eddy {

template <class F>
auto with_scope(F&& fn) -> detail::hazard_t<task<detail::body_value_t<F>>, F> {
    return detail::run_in_new_scope<detail::body_value_t<F>, std::decay_t<F>>(false, std::forward<F>(fn));
}
template <class F>
auto with_scope(cancel_scope& scope, F&& fn) -> detail::hazard_t<task<detail::body_value_t<F>>, F> {
    return detail::run_in_scope<detail::body_value_t<F>, std::decay_t<F>>(scope, false, std::forward<F>(fn));
}
template <class F>
auto with_shield(F&& fn) -> detail::hazard_t<task<detail::shield_value_t<F>>, F> {
    return detail::run_in_new_scope<detail::shield_value_t<F>, std::decay_t<F>>(true, std::forward<F>(fn));
}
template <class A>
    requires awaitable<A>
auto shielded(A&& a) -> detail::hazard_t<task<detail::await_result_t<A>>, A> {
    using type = std::remove_cvref_t<A>;
    if constexpr (std::is_lvalue_reference_v<A>)
        return detail::run_shielded<A>(a);
    else
        return detail::run_shielded<type>(detail::move_out(a));
}

} // namespace eddy
