// wait: until some of several tasks have ended, without owning them.
//
//     auto w = co_await wait(handles, wait_until::first_completed, 100ms);
//     for (auto& h : w.done) use(h);
//
// Takes handles only; throws nothing of the tasks', cancels nothing. A handle given twice counts once. Handles of tasks
// that have ended in the tick in which the wait is over are in `done`, too.
//
// Suspends unless the condition holds already; with a timeout of zero or less it only looks, and does not suspend.
// Resumed on the loop, after the last task step that mattered. Cancelling the wait leaves the tasks alone.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/duration.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/task_handle.hpp>

namespace eddy {

/// When a `wait` is over. A task that ended cancelled counts as completed, and not as an exception.
enum class wait_until : std::uint8_t { first_completed, first_exception, all_completed };

/// Both in the order of the arguments. `pending` is empty unless the wait ended before all tasks did.
template <class Handle>
struct wait_result {
    std::vector<Handle> done;
    std::vector<Handle> pending;
};

namespace detail {
template <class Handle>
class wait_operation;
template <class Handle>
using waits_for_span = wait_operation<std::remove_const_t<Handle>>;
} // namespace detail

/// Awaitable: `wait_result<Handle>`; `Handle` is a `task_handle<T>` or `any_task`. Throws `std::invalid_argument` for an
/// empty list or a NaN timeout, `std::logic_error` for an empty handle. Waiting allocates nothing, making it does.
template <std::derived_from<any_task> Handle>
detail::wait_operation<Handle> wait(std::vector<Handle> handles, wait_until until = wait_until::all_completed);
template <std::derived_from<any_task> Handle, class Rep, class Period>
detail::wait_operation<Handle> wait(std::vector<Handle> handles, wait_until until,
                                                  std::chrono::duration<Rep, Period> timeout);
template <std::derived_from<any_task> Handle>
detail::wait_operation<Handle> wait(std::vector<Handle> handles, wait_until until, loop_clock::time_point deadline);
/// The same for a span.
template <std::derived_from<any_task> Handle, std::size_t N>
[[nodiscard]] detail::waits_for_span<Handle> wait(std::span<Handle, N> handles, wait_until until = wait_until::all_completed);
template <std::derived_from<any_task> Handle, std::size_t N, class Rep, class Period>
[[nodiscard]] detail::waits_for_span<Handle> wait(std::span<Handle, N> handles, wait_until until, std::chrono::duration<Rep, Period> timeout);
template <std::derived_from<any_task> Handle, std::size_t N>
[[nodiscard]] detail::waits_for_span<Handle> wait(std::span<Handle, N> handles, wait_until until, loop_clock::time_point deadline);

// --- implementation

namespace detail {

class wait_base : public operation {
public:
    bool begin() final { return try_now() || start(); }
    [[nodiscard]] bool try_now() const noexcept;
    bool start();
    bool abort() noexcept final {
        let_go();
        return true;
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "tasks"; }
    [[nodiscard]] bool awaits(const task_context& t) const noexcept override;

protected:
    explicit wait_base(wait_until until) noexcept : until_(until) {}
    wait_base(wait_base&& o) noexcept
        : operation(std::move(o)), until_(o.until_), timeout_(o.timeout_), deadline_(o.deadline_), watched_(std::move(o.watched_)) {}
    ~wait_base() = default;
    /// Each once, in their order; tells which of them come for the first time. Throws if there are none.
    [[nodiscard]] std::vector<bool> add(std::span<task_context* const> tasks);
    void set_limit(std::chrono::nanoseconds timeout) noexcept { timeout_ = timeout; }
    void set_limit(loop_clock::time_point deadline) noexcept { deadline_ = deadline; }

private:
    struct watched final : task_watcher {
        watched(task_context& t, wait_base& w) noexcept : task_watcher(&task_ended), task(&t), wait(&w) {}
        static void task_ended(task_watcher& w) noexcept;
        task_context* task;
        wait_base* wait;
    };
    struct owned_timer final : timer_node {
        explicit owned_timer(wait_base& w) noexcept : timer_node(&due), wait(w) {}
        static void due(ready_node& n) { static_cast<owned_timer&>(n).wait.end(); }
        wait_base& wait;
    };
    [[nodiscard]] bool suffices(const task_context& t) const noexcept;
    [[nodiscard]] bool over() const noexcept;
    void let_go() noexcept;
    void end() noexcept {
        let_go();
        finish();
    }
    wait_until until_;
    std::optional<std::chrono::nanoseconds> timeout_;
    std::optional<loop_clock::time_point> deadline_;
    std::vector<watched> watched_;
    std::size_t running_ = 0;         // of those that are watched
    owned_timer timer_{*this};
};

template <class Handle>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] wait_operation final : public wait_base {
public:
    wait_operation(std::span<const Handle> handles, wait_until until) : wait_base(until) {
        std::vector<task_context*> tasks;
        tasks.reserve(handles.size());
        for (const Handle& h : handles) tasks.push_back(&h.context());
        const std::vector<bool> first = add(tasks);
        for (std::size_t i = 0; i < handles.size(); ++i) {
            if (first[i]) handles_.push_back(handles[i]);
        }
    }
    template <class Limit>
    wait_operation(std::span<const Handle> handles, wait_until until, Limit limit) : wait_operation(handles, until) {
        set_limit(limit);
    }
    wait_operation(wait_operation&&) noexcept = default;
    [[nodiscard]] wait_result<Handle> take() {
        wait_result<Handle> r;
        for (Handle& h : handles_) (h.done() ? r.done : r.pending).push_back(std::move(h));
        return r;
    }

private:
    std::vector<Handle> handles_;
};

} // namespace detail

template <std::derived_from<any_task> Handle, std::size_t N>
detail::waits_for_span<Handle> wait(std::span<Handle, N> handles, wait_until until) {
    return {handles, until};
}
template <std::derived_from<any_task> Handle, std::size_t N, class Rep, class Period>
detail::waits_for_span<Handle> wait(std::span<Handle, N> handles, wait_until until, std::chrono::duration<Rep, Period> timeout) {
    return {handles, until, detail::to_nanoseconds(timeout)};
}
template <std::derived_from<any_task> Handle, std::size_t N>
detail::waits_for_span<Handle> wait(std::span<Handle, N> handles, wait_until until, loop_clock::time_point deadline) {
    return {handles, until, deadline};
}
template <std::derived_from<any_task> Handle>
detail::wait_operation<Handle> wait(std::vector<Handle> handles, wait_until until) {
    return {handles, until};
}
template <std::derived_from<any_task> Handle, class Rep, class Period>
detail::wait_operation<Handle> wait(std::vector<Handle> handles, wait_until until, std::chrono::duration<Rep, Period> timeout) {
    return {handles, until, detail::to_nanoseconds(timeout)};
}
template <std::derived_from<any_task> Handle>
detail::wait_operation<Handle> wait(std::vector<Handle> handles, wait_until until, loop_clock::time_point deadline) {
    return {handles, until, deadline};
}

} // namespace eddy
