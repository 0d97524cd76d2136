// supervisor_group: a task group in which one child's failure leaves the others alone.
//
//     supervisor_group g([](const error_context& e) { log(e.task_name, e.exception); });
//     co_await with_task_group(g, [&](supervisor_group& g) -> task<> { g.spawn(a()); g.spawn(b()); co_return; });
//
// A child that fails is reported as soon as it has ended: to the group's handler, if it has one (which may `cancel()` the
// group); else as for free tasks, to whoever awaits its handle, and to the loop's exception handler if nobody does. The
// group then throws only what its body threw. Without a handler, `next_done` gives children that failed only from its first
// call on: before that their errors go the way of free tasks'. Everything else is as in <eddy/task_group.hpp>.
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include <eddy/task_group.hpp>

namespace eddy {

class supervisor_group final : public task_group {
public:
    supervisor_group() noexcept = default;
    /// `on_error` runs on the loop, inside the failing child's last step; what it throws goes to the loop's exception handler.
    explicit supervisor_group(std::function<void(const error_context&)> on_error) : on_error_(std::move(on_error)) {}
    ~supervisor_group() = default;

private:
    void child_failed(detail::task_context& child) noexcept override;
    [[nodiscard]] std::string_view kind() const noexcept override { return "supervisor_group"; }
    std::function<void(const error_context&)> on_error_;
};

/// Runs `fn(group)` in a new supervisor group without a handler of its own.
template <class F>
auto with_supervisor_group(F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, supervisor_group&>::value_type>, F>;
/// Runs `fn(group)` in a supervisor group of one's own, which must outlive the call and is used once.
template <class F>
    requires std::invocable<std::decay_t<F>&, supervisor_group&>
auto with_task_group(supervisor_group& group, F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, supervisor_group&>::value_type>, F>;

// --- implementation

namespace detail {

template <class T, class F>
task<T> run_new_supervisor(F fn) {
    supervisor_group group;
    co_return co_await run_group<T>(group, fn);
}
template <class T, class F>
task<T> run_given_supervisor(supervisor_group& group, F fn) {
    co_return co_await run_group<T>(group, fn);
}

} // namespace detail

template <class F>
auto with_supervisor_group(F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, supervisor_group&>::value_type>, F> {
    using value = typename std::invoke_result_t<std::decay_t<F>&, supervisor_group&>::value_type;
    return detail::run_new_supervisor<value, std::decay_t<F>>(std::forward<F>(fn));
}
template <class F>
    requires std::invocable<std::decay_t<F>&, supervisor_group&>
auto with_task_group(supervisor_group& group, F&& fn)
    -> detail::hazard_t<task<typename std::invoke_result_t<std::decay_t<F>&, supervisor_group&>::value_type>, F> {
    using value = typename std::invoke_result_t<std::decay_t<F>&, supervisor_group&>::value_type;
    return detail::run_given_supervisor<value, std::decay_t<F>>(group, std::forward<F>(fn));
}

} // namespace eddy
