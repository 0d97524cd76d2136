// spawn: run a task beside the current one.
//
//     task_handle<int> h = spawn(f(1));                            // ready at the end of this tick's queue
//     spawn([&](int n) -> task<> { co_await sleep_for(n * 1ms); }, 5);   // callable and arguments live as long as the task
//
// A task spawned here belongs to the loop's root group: its failure cancels nobody, and goes to whoever awaits the handle,
// else to the loop's exception handler. `run` ends by cancelling and joining that group. Use a `task_group` to bind
// tasks to a block. Every spawned task starts, even if it is cancelled first (R3): it runs to its first checkpoint.
#pragma once

#include <source_location>
#include <string_view>
#include <utility>

#include <eddy/task_handle.hpp>

namespace eddy {

/// How a task is spawned. The name is copied; it shows in task lists and error reports, as does the site.
struct spawn_options {
    std::string_view name = {};
    std::source_location site = std::source_location::current(); // where the options are written
};

/// Spawns a task, any other awaitable, or a callable that returns a task. Throws `std::logic_error` without a running
/// loop on this thread, `std::bad_alloc`, and whatever the callable throws before it returns its task; nothing is
/// registered then. On GCC 12 a handle fresh from `spawn` of an owning closure must be named before it is awaited (T1).
template <class F>
auto spawn(F&& f, spawn_options options = {}) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F>;

/// The same with arguments for the callable: `spawn(fn, args...)`, `spawn(fn, {.name = "x"}, args...)`. Without options there
/// is no room for the spawn site.
template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto spawn(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
template <class F, class A, class... As>
auto spawn(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;

/// Spawns and runs the first step here and now, up to the first suspension; the caller goes on afterwards. Eager tasks that
/// start eager tasks are calls inside each other: the machine stack bounds their depth.
template <class F>
auto spawn_eager(F&& f, spawn_options options = {}) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F>;
template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto spawn_eager(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
template <class F, class A, class... As>
auto spawn_eager(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;

// --- implementation

namespace detail {

/// Names and registers a new state; the handle holds it.
template <class T>
task_handle<T> launch(task_state<T>* state, scheduler& loop, task_owner* owner, scope_node& parent, spawn_options options) {
    try {
        if (!options.name.empty()) state->set_name(options.name);
    } catch (...) {
        delete state;
        throw;
    }
    state->set_spawn_site(options.site);
    state->launch(loop, owner, parent);
    return task_handle<T>(state);
}

/// The options of a call that has none, and no way to know where it stands.
[[nodiscard]] inline spawn_options no_options() noexcept {
    return {.name = {}, .site = {}};
}

/// Runs the first step of a task that was just spawned; its handle.
template <class Handle>
[[nodiscard]] Handle started_now(Handle h) {
    h.context().start_now();
    return h;
}

} // namespace detail

template <class F>
auto spawn(F&& f, spawn_options options) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
    detail::scheduler& loop = detail::require_open_loop("spawn");
    detail::task_state<detail::spawned_t<F>>* state = detail::make_task_state(std::forward<F>(f));
    return detail::launch(state, loop, nullptr, loop.root_scope(), options);
}

template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto spawn(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    return spawn(std::forward<F>(f), detail::no_options(), std::forward<A>(a), std::forward<As>(as)...);
}

template <class F, class A, class... As>
auto spawn(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    detail::scheduler& loop = detail::require_open_loop("spawn");
    detail::task_state<detail::spawned_t<F, A, As...>>* state =
        detail::make_task_state(std::forward<F>(f), std::forward<A>(a), std::forward<As>(as)...);
    return detail::launch(state, loop, nullptr, loop.root_scope(), options);
}

template <class F>
auto spawn_eager(F&& f, spawn_options options) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
    return detail::started_now(task_handle<detail::spawned_t<F>>(spawn(std::forward<F>(f), options)));
}
template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto spawn_eager(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    return spawn_eager(std::forward<F>(f), detail::no_options(), std::forward<A>(a), std::forward<As>(as)...);
}
template <class F, class A, class... As>
auto spawn_eager(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    using handle = task_handle<detail::spawned_t<F, A, As...>>;
    return detail::started_now(handle(spawn(std::forward<F>(f), options, std::forward<A>(a), std::forward<As>(as)...)));
}

} // namespace eddy
