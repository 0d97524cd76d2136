// with_stop_token: a std::stop_token from elsewhere cancels a block.
//
//     co_await with_stop_token(token, [&](cancel_scope&) -> task<> { co_await work(); });
//
// The bridge for code that is stopped by `std::stop_source`, `std::jthread` for instance. The other way round, a
// scope's cancellation as a token, is `cancel_scope::stop_token()`.
#pragma once

#include <memory>
#include <stop_token>
#include <utility>

#include <eddy/cancel_scope.hpp>

namespace eddy {

/// Runs `fn()` or `fn(scope)` in a new scope that is cancelled when stop is requested on `token`: from any thread, and
/// then on the loop in its next tick; before the call, from the start. If that ended the body: returns for `task<>`,
/// throws `child_cancelled` for `task<T>` (R15). What is requested when the body has ended has no effect. A
/// cancellation from outside passes through. No checkpoint of its own. Throws `std::bad_alloc`.
template <class F>
auto with_stop_token(std::stop_token token, F&& fn) -> detail::hazard_t<task<detail::shield_value_t<F>>, F>;

// --- implementation

namespace detail {

/// Ties a scope to a token for as long as it lives. Loop thread.
class stop_bridge {
public:
    stop_bridge(cancel_scope& scope, scheduler& loop, const std::stop_token& token);
    stop_bridge(const stop_bridge&) = delete;
    stop_bridge& operator=(const stop_bridge&) = delete;
    ~stop_bridge();

private:
    class message;
    class post;
    std::shared_ptr<message> message_;
    std::unique_ptr<std::stop_callback<post>> callback_;
};

template <class T, class F>
task<T> run_with_stop_token(std::stop_token token, F fn) {
    task_context& self = co_await this_context();
    cancel_scope s;
    result_slot<T> result;
    {
        const stop_bridge bridge(s, self.loop(), token);
        co_await run_scoped<T>(s, false, fn, result);
    }
    if constexpr (!std::is_void_v<T>) {
        if (!result.has_value()) throw_scope_cancelled(s);
        co_return result.take();
    }
}

} // namespace detail

template <class F>
auto with_stop_token(std::stop_token token, F&& fn) -> detail::hazard_t<task<detail::shield_value_t<F>>, F> {
    return detail::run_with_stop_token<detail::shield_value_t<F>, std::decay_t<F>>(std::move(token),
                                                                                   std::forward<F>(fn));
}

} // namespace eddy
