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

#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/child_set.hpp>
#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/outcome.hpp>
#include <eddy/started.hpp>

namespace eddy {

class task_group;

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] next_done_operation final : public leaf<next_done_operation> {
public:
    explicit next_done_operation(task_group& g) noexcept : group_(&g) {}
    [[nodiscard]] bool try_now();
    bool start() noexcept;
    bool abort() noexcept override;
    [[nodiscard]] std::optional<any_task> take() noexcept;
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "the next child to end"; }

private:
    friend class eddy::task_group;
    task_group* group_;                // null once the group has ended
    std::optional<any_task> last_; // what it gets then
};

} // namespace detail

class task_group : public detail::child_set {
public:
    task_group() noexcept = default;
    ~task_group();

    /// As `eddy::spawn`, but the task is a child of this group. Allowed from inside the block, from children, and while
    /// the group waits or aborts (the child then starts and is cancelled at its first checkpoint).
    /// Throws `std::logic_error` before the block was entered and after it ended; the task is then destroyed unstarted.
    template <class F>
    auto spawn(F&& f, spawn_options options = {}) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F>;
    template <class F, class A, class... As>
        requires(!std::convertible_to<A, spawn_options>)
    auto spawn(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
    template <class F, class A, class... As>
    auto spawn(F&& f, spawn_options options, A&& a, As&&... as)
        -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
    /// As `eddy::spawn_eager`, as a child of this group.
    template <class F>
    auto spawn_eager(F&& f, spawn_options options = {}) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F>;
    template <class F, class A, class... As>
        requires(!std::convertible_to<A, spawn_options>)
    auto spawn_eager(F&& f, A&& a, As&&... as) -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;
    template <class F, class A, class... As>
    auto spawn_eager(F&& f, spawn_options options, A&& a, As&&... as)
        -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...>;

    /// Starts a child that says when it is ready, and waits for that:
    ///     task<> server_main(started<int> ready, int port) { …; ready(8080); … }
    ///     int port = co_await g.start(server_main, 0);
    /// The child's first parameter is a `started<T>`; its arguments follow. Until it is ready its errors come out of
    /// `start` and concern nobody else; one that ends before is an error, too (`child_cancelled`, `std::logic_error`).
    /// Cancelling `start` cancels the child and joins it. From `ready(v)` on it is a child like any other.
    template <class F, class... As>
    [[nodiscard]] auto start(F&& f, As&&... as) -> detail::hazard_t<task<detail::started_value_t<F>>, F, As...>;

    /// Awaitable: `std::optional<any_task>`, the children one after another as they end (with a value, an error or
    /// cancelled); nullopt when none is left (those that are being
    /// started and are not ready do not count). Each is given once. Until the first call a group remembers up to 256 ended
    /// children; the first call after more throws `std::logic_error`. Checkpoint; cancelled, nothing was taken. One
    /// reader at a time, else `busy_resource`.
    detail::next_done_operation next_done() EDDY_LIFETIMEBOUND;

    /// Cancels children and body. The block then ends without an error, unless something failed (R15: a `task<T>` body
    /// that was interrupted has no value, and the group throws `child_cancelled`). Before entry: cancelled on entry;
    /// after the end: no effect.
    void cancel(std::string_view reason = {});

    /// Children that have not ended.
    [[nodiscard]] std::size_t size() const noexcept { return alive(); }

    /// For the library: a child that is being started.
    void child_starts(detail::task_context& child, detail::start_state_base& state) noexcept;

    // For with_task_group, in this order.
    void enter(detail::task_context& host);
    void body_failed(std::exception_ptr error) noexcept;
    void leave();

protected:
    /// A child failed and was not cancelled: a group stops, a supervisor goes on.
    virtual void child_failed(detail::task_context& child) noexcept;

private:
    friend class detail::next_done_operation;
    enum class phase : std::uint8_t { fresh, open, over };
    static constexpr std::size_t most_remembered = 256;
    void require_open() const;
    void child_ended(detail::task_context& child) noexcept final;
    void remember(detail::task_context& child) noexcept;
    void forget_ended() noexcept;
    void dismiss_reader() noexcept;
    void report_failed() noexcept;
    [[noreturn]] void throw_group(const std::vector<std::exception_ptr>& errors) const;
    [[nodiscard]] std::string_view kind() const noexcept override { return "task_group"; }
    [[nodiscard]] bool takes_guests() const noexcept final { return true; }
    [[nodiscard]] std::vector<std::exception_ptr> take_errors();

    detail::task_context* first_failed_ = nullptr; // owned, in the order they ended
    detail::task_context* last_failed_ = nullptr;
    detail::task_context* first_ended_ = nullptr; // owned, not yet asked for
    detail::task_context* last_ended_ = nullptr;
    std::size_t remembered_ = 0;
    detail::next_done_operation* reader_ = nullptr;
    bool woken_ = false;       // the reader was, and has not taken its child yet
    std::size_t starting_ = 0; // children that are not ready yet, see `start`
    std::exception_ptr body_error_;
    bool asked_ = false;       // next_done was called
    bool forgot_some_ = false; // before that
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
auto task_group::spawn(F&& f, spawn_options options) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
    require_open();
    detail::task_state<detail::spawned_t<F>>* state = detail::make_task_state(std::forward<F>(f));
    return launch_child(state, options);
}
template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto task_group::spawn(F&& f, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    return spawn(std::forward<F>(f), detail::no_options(), std::forward<A>(a), std::forward<As>(as)...);
}
template <class F, class A, class... As>
auto task_group::spawn(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    require_open();
    detail::task_state<detail::spawned_t<F, A, As...>>* state =
        detail::make_task_state(std::forward<F>(f), std::forward<A>(a), std::forward<As>(as)...);
    return launch_child(state, options);
}
template <class F>
auto task_group::spawn_eager(F&& f, spawn_options options) -> detail::hazard_t<task_handle<detail::spawned_t<F>>, F> {
    return detail::started_now(task_handle<detail::spawned_t<F>>(spawn(std::forward<F>(f), options)));
}
template <class F, class A, class... As>
    requires(!std::convertible_to<A, spawn_options>)
auto task_group::spawn_eager(F&& f, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    return spawn_eager(std::forward<F>(f), detail::no_options(), std::forward<A>(a), std::forward<As>(as)...);
}
template <class F, class A, class... As>
auto task_group::spawn_eager(F&& f, spawn_options options, A&& a, As&&... as)
    -> detail::hazard_t<task_handle<detail::spawned_t<F, A, As...>>, F, A, As...> {
    using handle = task_handle<detail::spawned_t<F, A, As...>>;
    return detail::started_now(handle(spawn(std::forward<F>(f), options, std::forward<A>(a), std::forward<As>(as)...)));
}

inline detail::next_done_operation task_group::next_done() EDDY_LIFETIMEBOUND {
    return detail::next_done_operation(*this);
}

namespace detail {

[[noreturn]] void throw_group_cancelled(const scope_node& s);

template <class T, class Group, class F>
task<T> run_group(Group& group, F& fn) {
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
    while (!group.all_ended()) co_await group.join();
    group.leave();
    if constexpr (!std::is_void_v<T>) {
        if (!result.has_value()) throw_group_cancelled(group.scope());
        co_return result.take();
    }
}
// The caller's cancellation is the child's as long as that is not ready.
template <class T, class F, class... A>
task<T> run_start(task_group& group, F fn, A... args) {
    const auto state = std::make_shared<start_state<T>>();
    task_handle<> child = group.spawn(std::move(fn), started<T>(state), std::move(args)...);
    group.child_starts(child.context(), *state);
    start_operation until_ready(*state);
    const outcome<> waited = co_await as_result(until_ready);
    state->child = {};
    if (waited.cancelled()) {
        child.cancel("start was cancelled");
        auto joined = child.join();
        co_await shielded(joined);
        child.context().report_unseen("a child failed while its start was cancelled");
        co_await entry_check();
    }
    if (!state->ready) throw_not_ready(child.context());
    co_return state->value.take();
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

template <class F, class... As>
auto task_group::start(F&& f, As&&... as) -> detail::hazard_t<task<detail::started_value_t<F>>, F, As...> {
    using value = detail::started_value_t<F>;
    return detail::run_start<value, std::decay_t<F>, std::decay_t<As>...>(*this, std::forward<F>(f), std::forward<As>(as)...);
}
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
