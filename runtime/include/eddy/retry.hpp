// retry: call something that may fail again, with growing pauses in between.
//
//     auto page = co_await retry({.attempts = 5, .first_delay = 100ms, .factor = 2.0, .jitter = 0.2}, fetch_page);
//     auto s = co_await retry({.retry_if = retry_on<connect_error>}, [&] { return tcp_connect("localhost", 80); });
//
// The first attempt is made at once, in the current task; a failed one is followed by a pause and the next. What the
// last attempt threw comes out as it is, the same exception object, so that code around `retry` handles the errors it
// would handle without it. A function that wants to know which attempt it is takes an `int` first: 1, 2, …
//
// Cancellation ends it at once, in an attempt as in a pause: `operation_cancelled` is never retried, and an error that
// an attempt throws while the task is being cancelled comes out without another attempt. To bound one attempt, put
// `with_timeout` inside the function; to bound all of them, around `retry`.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <eddy/detail/jitter.hpp>
#include <eddy/errors.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// What is retried unless the policy says otherwise: every error but `std::logic_error` (the program is wrong, and
/// stays so) and `child_cancelled` (somebody wanted it to end).
[[nodiscard]] bool worth_a_retry(const std::exception_ptr& error) noexcept;
/// For `retry_if`: errors of these types only.
template <class... E>
[[nodiscard]] bool retry_on(const std::exception_ptr& error);

/// How often and when. Trivially destructible on purpose: it can be written inside a `co_await` expression (trap T1).
struct retry_policy {
    static constexpr int without_limit = std::numeric_limits<int>::max();

    /// Calls in all, the first included; at least 1.
    int attempts = 3;
    /// The pause after the first failure.
    std::chrono::nanoseconds first_delay = std::chrono::milliseconds(100);
    /// Each pause is so many times the one before …
    double factor = 2.0;
    /// … but no longer than this, jitter aside.
    std::chrono::nanoseconds max_delay = std::chrono::minutes(1);
    /// A fraction: 0.2 makes each pause 80 to 120 % of itself, at random.
    double jitter = 0.0;
    /// No attempt begins later than this after the first: a pause that would end later is not begun, and the error
    /// comes out. An attempt that runs is not cut short.
    std::optional<std::chrono::nanoseconds> total = {};
    /// Which errors are worth another attempt: a function, or a lambda without captures.
    bool (*retry_if)(const std::exception_ptr& error) = &worth_a_retry;
    /// For jitter that can be repeated.
    std::optional<std::uint64_t> seed = {};
};

namespace detail {

template <class F, class... A>
inline constexpr bool takes_attempt = !std::is_invocable_v<F&, A&...> && std::is_invocable_v<F&, int, A&...>;
/// What an attempt returns; void for what cannot be called, which `retry` refuses with a sentence.
template <class F, class... A>
struct attempt_result {
    using type = void;
};
template <class F, class... A>
    requires std::is_invocable_v<F&, A&...>
struct attempt_result<F, A...> {
    using type = std::invoke_result_t<F&, A&...>;
};
template <class F, class... A>
    requires takes_attempt<F, A...>
struct attempt_result<F, A...> {
    using type = std::invoke_result_t<F&, int, A&...>;
};
template <class R>
struct attempt_value {
    using type = void;
};
template <awaitable_in_task R>
struct attempt_value<R> {
    using type = owned_await_t<R>;
};
template <class F, class... A>
using attempt_value_t =
    typename attempt_value<typename attempt_result<std::decay_t<F>, std::decay_t<A>...>::type>::type;

} // namespace detail

/// Awaits `fn(args...)`, or `fn(attempt, args...)` if only that can be called, until an attempt succeeds; its value.
/// `fn` returns a task or any other awaitable. `fn` and `args` are kept and passed as lvalues, each time the same ones.
/// Throws what the last attempt threw. The pauses are checkpoints. Throws `std::invalid_argument`, from the call
/// itself, for attempts < 1, negative delays, a factor that is not a positive number, and a jitter outside [0, 1].
template <class F, class... A>
auto retry(retry_policy policy, F&& fn, A&&... args)
    -> detail::hazard_t<task<detail::attempt_value_t<F, A...>>, F, A...>;

// --- implementation

template <class... E>
bool retry_on(const std::exception_ptr& error) {
    const auto is = [&]<class T>(std::type_identity<T>) {
        try {
            std::rethrow_exception(error);
        } catch (const T&) {
            return true;
        } catch (...) { // of another type
            return false;
        }
    };
    return (is(std::type_identity<E>{}) || ...);
}

namespace detail {

void check_retry_policy(const retry_policy& p);

/// The course of one `retry`: counts attempts and decides what follows a failure.
class retry_course {
public:
    retry_course(const retry_policy& p, loop_clock::time_point start) : policy_(p), jitter_(p.seed), start_(start) {}
    [[nodiscard]] int attempt() const noexcept { return attempt_; }
    /// The pause before the next attempt; rethrows `error` if there is to be none.
    [[nodiscard]] std::chrono::nanoseconds pause_after(const std::exception_ptr& error, task_context& self);

private:
    [[nodiscard]] std::chrono::nanoseconds next_pause() noexcept;
    retry_policy policy_;
    jitter_source jitter_;
    loop_clock::time_point start_;
    double delay_ = static_cast<double>(policy_.first_delay.count());
    int attempt_ = 1;
};

template <class F, class... A>
decltype(auto) call_attempt([[maybe_unused]] int attempt, F& fn, A&... args) {
    if constexpr (takes_attempt<F, A...>)
        return std::invoke(fn, attempt, args...);
    else
        return std::invoke(fn, args...);
}

template <class T, class F, class... A>
task<T> run_retry(retry_policy policy, F fn, std::tuple<A...> args) {
    task_context& self = co_await this_context();
    retry_course course(policy, self.loop().now());
    const auto call = [&](A&... a) -> decltype(auto) { return call_attempt(course.attempt(), fn, a...); };
    for (;;) {
        std::exception_ptr error;
        try {
            co_return co_await std::apply(call, args);
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) {
            error = std::current_exception();
        }
        const std::chrono::nanoseconds pause = course.pause_after(error, self);
        error = nullptr; // what the attempt left behind need not live through the pause
        co_await sleep_for(pause);
    }
}

} // namespace detail

template <class F, class... A>
auto retry(retry_policy policy, F&& fn, A&&... args)
    -> detail::hazard_t<task<detail::attempt_value_t<F, A...>>, F, A...> {
    using result = typename detail::attempt_result<std::decay_t<F>, std::decay_t<A>...>::type;
    static_assert(detail::awaitable_in_task<result>,
                  "retry takes a callable that returns a task or another awaitable, and the arguments to call it with");
    detail::check_retry_policy(policy);
    return detail::run_retry<detail::attempt_value_t<F, A...>, std::decay_t<F>, std::decay_t<A>...>(
        policy, std::forward<F>(fn), std::tuple<std::decay_t<A>...>(std::forward<A>(args)...));
}

} // namespace eddy
