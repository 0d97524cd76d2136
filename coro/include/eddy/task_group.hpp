// task_group: tasks that end with a block.
//
//     int sum = co_await with_task_group([&](task_group& g) -> task<int> {
//         auto a = g.spawn(f(1));
//         g.spawn([&]() -> task<> { co_await sleep_for(10ms); });
//         co_return co_await a;
//     });                                  // both children are over here
//
// The block ends when its body and all children have. The first failure cancels the other children, in spawn order, and
// the body; when everything has unwound the group throws an `exception_group` with every error (also for one). A child
// that is cancelled on its own is no failure. A cancellation from outside cancels the children, joins them and goes on.
#pragma once

#include <exception>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/detail/child_set.hpp>
#include <eddy/errors.hpp>

namespace eddy {

class task_group final : public detail::child_set {
public:
    task_group() noexcept = default;
    ~task_group() = default;

    /// As `eddy::spawn`, but the task is a child of this group. Allowed from inside the block, from children, and while
    /// the group waits or aborts (the child then starts and is cancelled at its first checkpoint).
    /// Throws `std::logic_error` before the block was entered and after it ended; the task is then destroyed unstarted.
    template <class F>
    auto spawn(F&& f, spawn_options options = {}, std::source_location site = std::source_location::current())
        -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F>;
    template <class F, class A, class... As>
        requires(!std::convertible_to<A, spawn_options>)
    auto spawn(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
    template <class F, class A, class... As>
        requires(!std::same_as<std::remove_cvref_t<A>, std::source_location>)
    auto spawn(F&& f, spawn_options options, A&& a, As&&... as)
        -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
    /// As `eddy::spawn_eager`, as a child of this group.
    template <class F, class... As>
    auto spawn_eager(F&& f, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, As...>>, F, As...>;

    /// Cancels children and body. The block then ends without an error, unless something failed (R15: a `task<T>` body
    /// that was interrupted has no value, and the group throws `child_cancelled`). Before entry: cancelled on entry;
    /// after the end: no effect.
    void cancel(std::string_view reason = {});

    /// Children that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return alive(); }

    // For with_task_group, in this order.
    void enter(detail::task_context& host);
    void body_failed(std::exception_ptr error) noexcept;
    void leave();

private:
    enum class phase : std::uint8_t { fresh, open, over };
    void require_open() const;
    void child_ended(detail::task_context& child) noexcept override;
    [[nodiscard]] std::string_view kind() const noexcept override { return "task_group"; }
    [[nodiscard]] std::vector<std::exception_ptr> take_errors();

    detail::task_context* first_failed_ = nullptr; // owned, in the order they ended
    detail::task_context* last_failed_ = nullptr;
    std::exception_ptr body_error_;
    bool body_cancelled_ = false;
    bool own_cancellation_ = false; // … by this group's scope, not by one around it
    phase phase_ = phase::fresh;
};

/// Runs `fn(group)` in a new group. See above. No checkpoint of its own: without children it does not suspend.
template <class F>
auto with_task_group(F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, task_group&>::value_type>, F>;
/// The same with a group of one's own, which must outlive the call and is used once.
template <class F>
auto with_task_group(task_group& group, F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, task_group&>::value_type>, F>;

// --- implementation

template <class F>
auto task_group::spawn(F&& f, spawn_options options, std::source_location site)
    -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
    require_open();
    detail::task_state<detail::spawned_t<F>>* state = detail::make_task_state(std::forward<F>(f));
    return launch_child(state, options, site);
}
template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto task_group::spawn(F&& f, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    return spawn(std::forward<F>(f), spawn_options{}, std::forward<A>(a), std::forward<As>(as)...);
}
template <class F, class A, class... As>
    requires(!std::same_as<std::remove_cvref_t<A>, std::source_location>)
auto task_group::spawn(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    require_open();
    detail::task_state<detail::spawned_t<F, A, As...>>* state =
        detail::make_task_state(std::forward<F>(f), std::forward<A>(a), std::forward<As>(as)...);
    return launch_child(state, options);
}
template <class F, class... As>
auto task_group::spawn_eager(F&& f, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, As...>>, F, As...> {
    task_handle<detail::spawned_t<F, As...>> h = spawn(std::forward<F>(f), std::forward<As>(as)...);
    h.context().start_now();
    return h;
}

namespace detail {

[[noreturn]] void throw_group_cancelled(const scope_node& s);

template <class T, class F>
task<T> run_group(task_group& group, F& fn) {
    task_context& self = co_await this_context();
    group.enter(self);
    result_slot<T> result;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::invoke(fn, group);
            result.emplace();
        } else {
            result.emplace(co_await std::invoke(fn, group));
        }
    } catch (...) {
        group.body_failed(std::current_exception());
    }
    co_await group.join();
    group.leave();
    if constexpr (!std::is_void_v<T>) {
        if (!result.has_value()) throw_group_cancelled(group.scope());
        co_return result.take();
    }
}
template <class T, class F>
task<T> run_new_group(F fn) {
    task_group group;
    co_return co_await run_group<T>(group, fn);
}
template <class T, class F>
task<T> run_given_group(task_group& group, F fn) {
    co_return co_await run_group<T>(group, fn);
}

} // namespace detail

template <class F>
auto with_task_group(F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, task_group&>::value_type>, F> {
    using value = typename std::invoke_result_t<std::decay_t<F>&, task_group&>::value_type;
    return detail::run_new_group<value, std::decay_t<F>>(std::forward<F>(fn));
}
template <class F>
auto with_task_group(task_group& group, F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, task_group&>::value_type>, F> {
    using value = typename std::invoke_result_t<std::decay_t<F>&, task_group&>::value_type;
    return detail::run_given_group<value, std::decay_t<F>>(group, std::forward<F>(fn));
}

} // namespace eddy
