// with_cleanup: what `finally` is elsewhere, for cleanup that awaits (`co_await` is not allowed in a destructor or handler).
//
//     co_await with_cleanup([&] { return use(connection); }, [&] { return connection.close(); });
//
// The body is a callable that returns an awaitable, or an awaitable; so is the cleanup. The cleanup runs whether the body
// returned, failed or was cancelled, even in a scope that is cancelled already; in a shield, so that it can await, and for
// at most `limit` (default 10 s), after which it is cancelled. Then the body's value is returned, or its error or
// cancellation goes on. What the cleanup throws, or that it took too long, goes to the loop's exception handler.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/outcome.hpp>

namespace eddy {

namespace detail {
template <class B>
struct cleaned_value {
    using type = owned_await_t<std::invoke_result_t<std::decay_t<B>&>>;
};
template <awaitable_in_task B>
struct cleaned_value<B> {
    using type = owned_await_t<B>;
};
template <class B>
using cleaned_value_t = typename cleaned_value<B>::type;
} // namespace detail

/// Awaitable: the body's value. No checkpoint of its own. See above.
template <class B, class C>
auto with_cleanup(B&& body, C&& cleanup) -> detail::hazard_t<task<detail::cleaned_value_t<B>>, B, C>;
template <class B, class C, class Rep, class Period>
auto with_cleanup(B&& body, C&& cleanup, std::chrono::duration<Rep, Period> limit)
    -> detail::hazard_t<task<detail::cleaned_value_t<B>>, B, C>;

// --- implementation

namespace detail {

inline constexpr std::chrono::nanoseconds default_cleanup_limit = std::chrono::seconds(10);

void report_cleanup(task_context& self, const std::exception_ptr& error, bool in_time) noexcept;

/// Awaits `b`, or what it returns.
template <class T, class B>
task<T> run_part(B& b) {
    if constexpr (awaitable_in_task<B>)
        co_return co_await std::move(b); // void as well
    else
        co_return co_await std::invoke(b);
}

template <class C>
task<> run_cleanup(C& cleanup, std::chrono::nanoseconds limit) {
    task_context& self = co_await this_context();
    cancel_scope s(after(self.loop().now(), limit));
    result_slot<void> result;
    std::exception_ptr error;
    auto part = [&cleanup] { return run_part<cleaned_value_t<C>>(cleanup); };
    try {
        co_await run_scoped<void>(s, true, part, result);
    } catch (...) {
        error = std::current_exception();
    }
    if (error || !result.has_value()) report_cleanup(self, error, !s.expired());
}

template <class T, class B, class C>
task<T> run_with_cleanup(B body, C cleanup, std::chrono::nanoseconds limit) {
    result_slot<T> result;
    std::exception_ptr error;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await run_part<T>(body);
            result.emplace();
        } else {
            result.emplace(co_await run_part<T>(body));
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await run_cleanup(cleanup, limit);
    if (error) std::rethrow_exception(error);
    if constexpr (!std::is_void_v<T>) co_return result.take();
}

} // namespace detail

template <class B, class C>
auto with_cleanup(B&& body, C&& cleanup) -> detail::hazard_t<task<detail::cleaned_value_t<B>>, B, C> {
    return with_cleanup(std::forward<B>(body), std::forward<C>(cleanup), detail::default_cleanup_limit);
}
template <class B, class C, class Rep, class Period>
auto with_cleanup(B&& body, C&& cleanup, std::chrono::duration<Rep, Period> limit)
    -> detail::hazard_t<task<detail::cleaned_value_t<B>>, B, C> {
    return detail::run_with_cleanup<detail::cleaned_value_t<B>, std::decay_t<B>, std::decay_t<C>>(
        std::forward<B>(body), std::forward<C>(cleanup), detail::to_nanoseconds(limit));
}

} // namespace eddy
