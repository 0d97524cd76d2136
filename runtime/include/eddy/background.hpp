// background: the same call at every scale. Moving a function from the loop to a thread, to another process or to another
// machine changes the first word and nothing else:
//
//     auto r = co_await background(on_loop, resize, image, 800);
//     auto r = co_await background(on_pool(pool), {.retry = policy, .timeout = 2s}, resize, image, 800);
//     auto r = co_await background(on_processes(processes), resize, image, 800);      // <eddy/process_pool.hpp>
//     auto r = co_await background(jobs::on_jobs(client, "images.resize"), resize, image, 800);   // <eddy/jobs.hpp>
//     auto all = co_await background_map(on_pool(), {.in_flight = 8}, resize, images);
//     std::vector<outcome<image>> ends = co_await background_map_outcomes(on_pool(), resize, images);   // of each, however it ended
//
// What holds at every scale: the call is awaited like a task, its value or exception arrives on the loop's thread; cancelling
// the await cancels the call as far as its scale can, and what that means is the scale's own (a task unwinds, a thread is asked
// to stop and waited for, a process is ended, a job is revoked); `report_progress` (<eddy/progress.hpp>) reaches the caller's
// listener. A scale of one's own is a class with `call` and `width`, as `background_scale` says.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/capacity_limiter.hpp>
#include <eddy/gather.hpp>
#include <eddy/offload.hpp>
#include <eddy/outcome.hpp>
#include <eddy/progress.hpp>
#include <eddy/retry.hpp>
#include <eddy/task.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

namespace eddy {

/// How a function is called. Trivially destructible on purpose: it can be written inside a `co_await` expression (trap T1).
struct background_options {
    /// What fails is tried again, as `retry` does it; without a policy it is not.
    std::optional<retry_policy> retry = {};
    /// Of one attempt: when it has passed the call is cancelled, and `timeout_error` thrown, which the policy may think worth another
    /// attempt. A function that returns a value all the same has that value (R2).
    std::optional<std::chrono::nanoseconds> timeout = {};
    /// Each attempt takes a token first; between attempts none is held. Must outlive the call.
    capacity_limiter* limit = nullptr;
    /// `background_map` and `background_map_outcomes`: how many calls run at a time at most; 0: what the scale can use.
    std::size_t in_flight = 0;
};

/// Where functions can be called: `call(fn, args...)` makes a task of the result, for lvalues that outlive it and are left as
/// they are (an attempt may be repeated); `width()` says how many calls can usefully run at a time, at least 1.
template <class S, class F, class... A>
concept background_scale = std::copy_constructible<S> && requires(const S& scale, F& fn, A&... args) {
    { scale.call(fn, args...).discard() };
    { scale.width() } -> std::convertible_to<std::size_t>;
};

namespace detail {

template <class F, class... A>
concept callable_in_background = std::is_invocable_v<F&, A&...> || std::is_invocable_v<F&, std::stop_token, A&...>;

template <class F, class... A>
struct loop_value {
    using type = offload_result_t<F&, A&...>;
};
template <class F, class... A>
    requires awaitable_in_task<offload_result_t<F&, A&...>>
struct loop_value<F, A...> {
    using type = owned_await_t<offload_result_t<F&, A&...>>;
};
template <class F, class... A>
using loop_value_t = typename loop_value<F, A...>::type;

} // namespace detail

/// On the loop's own thread, as part of the current task. `fn` returns a task or another awaitable; a plain function holds the
/// loop up while it runs, after one tick in which others may.
struct on_loop_t {
    explicit on_loop_t() = default;
    template <class F, class... A>
        requires detail::callable_in_background<F, A...>
    [[nodiscard]] auto call(F& fn, A&... args) const -> task<detail::loop_value_t<F, A...>>;
    [[nodiscard]] static constexpr std::size_t width() noexcept { return 64; }
};
inline constexpr on_loop_t on_loop{};

/// On the threads of a pool, by `offload`, with copies of `fn` and the arguments.
class pool_scale {
public:
    explicit pool_scale(worker_pool* pool) noexcept : pool_(pool) {}
    template <class F, class... A>
        requires detail::callable_in_background<F, A...>
    [[nodiscard]] auto call(F& fn, A&... args) const -> task<detail::offload_result_t<F&, A&...>>;
    [[nodiscard]] std::size_t width() const noexcept;

private:
    worker_pool* pool_;
};
/// The loop's default pool, or one that outlives the call.
[[nodiscard]] inline pool_scale on_pool() noexcept {
    return pool_scale(nullptr);
}
[[nodiscard]] inline pool_scale on_pool(worker_pool& pool) noexcept {
    return pool_scale(&pool);
}

namespace detail {
template <class S, class F, class... A>
using background_value_t = owned_await_t<decltype(std::declval<const S&>().call(std::declval<F&>(), std::declval<A&>()...))>;
} // namespace detail

/// Awaits `fn(args...)` where `scale` says; its value, or what it threw. `fn` and `args` are kept for as long as it takes.
/// Cancellation ends waiting for a token and pauses between attempts at once, a running call as its scale does it. Throws
/// `timeout_error`, `std::invalid_argument` from the call itself for a policy that makes no sense, and what the scale throws
/// when it cannot run the function at all.
template <class S, class F, class... A>
    requires background_scale<S, std::decay_t<F>, std::decay_t<A>...>
auto background(S scale, background_options options, F&& fn, A&&... args)
    -> detail::hazard_t<task<detail::background_value_t<S, std::decay_t<F>, std::decay_t<A>...>>, F, A...>;
template <class S, class F, class... A>
    requires background_scale<S, std::decay_t<F>, std::decay_t<A>...>
auto background(S scale, F&& fn, A&&... args)
    -> detail::hazard_t<task<detail::background_value_t<S, std::decay_t<F>, std::decay_t<A>...>>, F, A...>;

/// `fn(item)` for each item; the results in the items' order. At most `in_flight` calls run at a time, and the next is made
/// when one is over. If one fails, the others are cancelled and joined and its error comes out, as with `gather`.
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map(S scale, background_options options, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<detail::stored_t<detail::background_value_t<S, std::decay_t<F>, T>>>>, F>;
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map(S scale, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<detail::stored_t<detail::background_value_t<S, std::decay_t<F>, T>>>>, F>;

/// The same with an `outcome` for each item, in the items' order: one that fails, after its attempts, ends no other. Cancelled, the calls are
/// cancelled and joined, and there are no outcomes.
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map_outcomes(S scale, background_options options, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<outcome<detail::background_value_t<S, std::decay_t<F>, T>>>>, F>;
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map_outcomes(S scale, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<outcome<detail::background_value_t<S, std::decay_t<F>, T>>>>, F>;

// --- implementation

namespace detail {

template <class R, class F, class... A>
task<R> call_on_loop(F& fn, A&... args) {
    const auto invoke = [&]() -> decltype(auto) {
        if constexpr (std::is_invocable_v<F&, A&...>)
            return std::invoke(fn, args...);
        else
            return std::invoke(fn, std::stop_token{}, args...); // nobody could ask it to stop while it has the thread
    };
    if constexpr (awaitable_in_task<offload_result_t<F&, A&...>>) {
        co_return co_await invoke();
    } else {
        co_await sleep_for(std::chrono::nanoseconds(0));
        co_return invoke();
    }
}
template <class R, class F, class... A>
task<R> call_on_pool(worker_pool* pool, F& fn, A&... args) {
    offload_operation<R, F, A...> operation(pool, fn, args...);
    co_return co_await operation;
}

/// One attempt.
template <class R, class S, class F, class... A>
task<R> background_attempt(const S& scale, const background_options& options, F& fn, A&... args) {
    limiter_token token;
    if (options.limit) token = co_await options.limit->acquire_for_call();
    if (!options.timeout) co_return co_await scale.call(fn, args...);
    auto body = [&](cancel_scope&) -> task<R> { return scale.call(fn, args...); };
    co_return co_await with_timeout(*options.timeout, body);
}

template <class R, class S, class F, class... A>
task<R> run_background(S scale, background_options options, F fn, A... args) {
    if (!options.retry) co_return co_await background_attempt<R>(scale, options, fn, args...);
    auto attempt = [&]() -> task<R> { return background_attempt<R>(scale, options, fn, args...); };
    co_return co_await retry(*options.retry, attempt);
}

/// How a call ended; if that is because the caller was cancelled, nothing.
template <class R>
task<outcome<R>> outcome_of_call(task<R> call) {
    outcome<R> ended = co_await as_result(std::move(call));
    if (ended.cancelled()) co_await this_task::checkpoint();
    co_return ended;
}

/// Makes calls, one after the other, until no item is left. `Kept`: what is kept of each, its value or its outcome.
template <class R, class Kept, class S, class F, class T>
task<> map_some(const S& scale, const background_options& options, F& fn, std::vector<T>& items, std::vector<std::optional<Kept>>& results, std::size_t& next) {
    auto attempt = [&](T& item) -> task<R> { return background_attempt<R>(scale, options, fn, item); };
    while (next < items.size()) {
        const std::size_t i = next++;
        task<R> call = options.retry ? retry(*options.retry, attempt, std::ref(items[i])) : attempt(items[i]);
        if constexpr (std::same_as<Kept, outcome<R>>) {
            results[i].emplace(co_await outcome_of_call<R>(std::move(call)));
        } else if constexpr (std::is_void_v<R>) {
            co_await std::move(call);
            results[i].emplace();
        } else {
            results[i].emplace(co_await std::move(call));
        }
    }
}

template <class R, class Kept, class S, class F, class T>
task<std::vector<Kept>> run_background_map(S scale, background_options options, F fn, std::vector<T> items) {
    std::vector<std::optional<Kept>> results(items.size());
    std::size_t next = 0;
    const std::size_t at_a_time = options.in_flight != 0 ? options.in_flight : std::max<std::size_t>(scale.width(), 1);
    std::vector<task<>> callers;
    for (std::size_t i = 0; i < std::min(at_a_time, items.size()); ++i) callers.push_back(map_some<R, Kept>(scale, options, fn, items, results, next));
    static_cast<void>(co_await gather(std::move(callers)));
    std::vector<Kept> all;
    all.reserve(results.size());
    for (auto& r : results) all.push_back(std::move(*r));
    co_return all;
}

[[nodiscard]] std::size_t width_of(const worker_pool* pool) noexcept;

} // namespace detail

template <class F, class... A>
    requires detail::callable_in_background<F, A...>
auto on_loop_t::call(F& fn, A&... args) const -> task<detail::loop_value_t<F, A...>> {
    using value = detail::loop_value_t<F, A...>;
    std::shared_ptr<detail::report_target> target = detail::current_report_target();
    if (!target) return detail::call_on_loop<value>(fn, args...);
    return detail::with_reports_heard<value>(detail::call_on_loop<value>(fn, args...), std::move(target));
}
template <class F, class... A>
    requires detail::callable_in_background<F, A...>
auto pool_scale::call(F& fn, A&... args) const -> task<detail::offload_result_t<F&, A&...>> {
    static_assert(!detail::awaitable_in_task<detail::offload_result_t<F&, A&...>>,
                  "on_pool calls plain functions: a coroutine runs on the loop, by on_loop");
    return detail::call_on_pool<detail::offload_result_t<F&, A&...>>(pool_, fn, args...);
}
inline std::size_t pool_scale::width() const noexcept {
    return detail::width_of(pool_);
}

template <class S, class F, class... A>
    requires background_scale<S, std::decay_t<F>, std::decay_t<A>...>
auto background(S scale, background_options options, F&& fn, A&&... args)
    -> detail::hazard_t<task<detail::background_value_t<S, std::decay_t<F>, std::decay_t<A>...>>, F, A...> {
    if (options.retry) detail::check_retry_policy(*options.retry);
    using value = detail::background_value_t<S, std::decay_t<F>, std::decay_t<A>...>;
    return detail::run_background<value, S, std::decay_t<F>, std::decay_t<A>...>(std::move(scale), options, std::forward<F>(fn), std::forward<A>(args)...);
}
template <class S, class F, class... A>
    requires background_scale<S, std::decay_t<F>, std::decay_t<A>...>
auto background(S scale, F&& fn, A&&... args)
    -> detail::hazard_t<task<detail::background_value_t<S, std::decay_t<F>, std::decay_t<A>...>>, F, A...> {
    return background(std::move(scale), background_options{}, std::forward<F>(fn), std::forward<A>(args)...);
}

template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map(S scale, background_options options, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<detail::stored_t<detail::background_value_t<S, std::decay_t<F>, T>>>>, F> {
    if (options.retry) detail::check_retry_policy(*options.retry);
    using value = detail::background_value_t<S, std::decay_t<F>, T>;
    return detail::run_background_map<value, detail::stored_t<value>, S, std::decay_t<F>, T>(std::move(scale), options, std::forward<F>(fn), std::move(items));
}
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map(S scale, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<detail::stored_t<detail::background_value_t<S, std::decay_t<F>, T>>>>, F> {
    return background_map(std::move(scale), background_options{}, std::forward<F>(fn), std::move(items));
}
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map_outcomes(S scale, background_options options, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<outcome<detail::background_value_t<S, std::decay_t<F>, T>>>>, F> {
    if (options.retry) detail::check_retry_policy(*options.retry);
    using value = detail::background_value_t<S, std::decay_t<F>, T>;
    return detail::run_background_map<value, outcome<value>, S, std::decay_t<F>, T>(std::move(scale), options, std::forward<F>(fn), std::move(items));
}
template <class S, class F, class T>
    requires background_scale<S, std::decay_t<F>, T>
auto background_map_outcomes(S scale, F&& fn, std::vector<T> items)
    -> detail::hazard_t<task<std::vector<outcome<detail::background_value_t<S, std::decay_t<F>, T>>>>, F> {
    return background_map_outcomes(std::move(scale), background_options{}, std::forward<F>(fn), std::move(items));
}

} // namespace eddy
