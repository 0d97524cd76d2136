// join_set<T>: tasks of one result type, spawned one after another, whose results are taken as they come.
//
//     join_set<page> fetching;
//     for (const url& u : first_urls) fetching.spawn(fetch, u);
//     while (auto h = co_await fetching.next()) {              // std::optional<task_handle<page>>
//         for (const url& u : h->result().links) fetching.spawn(fetch, u);
//     }
//
// After tokio's JoinSet. A task that failed is handed out like any other: its error appears when its result is read, and
// goes to the exception handler if the handle is dropped unread. A failure cancels nobody; where it should, use a
// `task_group` and its `next_done`. What was handed out is forgotten: memory is that of the tasks in the set.
//
// A task is a child of the task group around the task that spawns it (else of the loop's root group): not of a race or gather
// that it is a member of, and not of a group outside the shield that it is in. Destroying the set cancels
// what is left, and that group joins it; `co_await set.close()` cancels and joins it now.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/completion_set.hpp>

namespace eddy {

/// Move-only. Loop thread only.
template <class T>
class join_set {
public:
    /// Throws `std::logic_error` without a running loop on this thread.
    explicit join_set(std::source_location site = std::source_location::current())
        : set_(new detail::completion_set("join_set", std::nullopt, site)) {}

    /// As `eddy::spawn`; the result must be a `T`. The handle may be used and dropped as usual: the set has its own.
    template <class F>
    auto spawn(F&& f, spawn_options options = {}) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
        require_result<detail::spawned_t<F>>();
        return set().start(detail::make_task_state(std::forward<F>(f)), options);
    }
    template <class F, class A, class... As>
        requires(!std::convertible_to<A, spawn_options>)
    auto spawn(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
        return spawn(std::forward<F>(f), detail::no_options(), std::forward<A>(a), std::forward<As>(as)...);
    }
    template <class F, class A, class... As>
    auto spawn(F&& f, spawn_options options, A&& a, As&&... as)
        -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
        require_result<detail::spawned_t<F, A, As...>>();
        return set().start(
            detail::make_task_state(std::forward<F>(f), std::forward<A>(a), std::forward<As>(as)...), options);
    }

    /// Awaitable: `std::optional<task_handle<T>>`, the handle of the next task that has ended, in the order they end;
    /// nullopt when the set is empty. Checkpoint; cancelled, nothing was taken. One reader at a time, else `busy_resource`;
    /// `closed_resource` if the set goes meanwhile.
    detail::next_completed<T> next() EDDY_LIFETIMEBOUND { return detail::next_completed<T>(set()); }

    /// Cancels what is left; each is handed out when it has unwound.
    void cancel(std::string_view reason = {}) { set().cancel_rest(reason); }
    /// Awaitable: cancels what is left and waits until all of it has unwound. Not a checkpoint, not cancellable. What ended
    /// can still be taken.
    detail::completion_set::join_operation close() {
        set().cancel_rest("not needed any more");
        return detail::completion_set::join_operation(set());
    }

    /// Tasks that were not handed out: running, and ended.
    [[nodiscard]] std::size_t size() const noexcept { return set_ ? set_->size() : 0; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Those that have not ended.
    [[nodiscard]] std::size_t running() const noexcept { return set_ ? set_->running() : 0; }

private:
    template <class U>
    static void require_result() {
        static_assert(std::is_same_v<T, U>, "join_set<T>::spawn: the task's result is not a T");
    }
    [[nodiscard]] detail::completion_set& set() const {
        if (!set_) detail::throw_logic_error("this join_set is empty (it was moved from)");
        return *set_;
    }
    detail::completion_set_ptr set_;
};

} // namespace eddy
