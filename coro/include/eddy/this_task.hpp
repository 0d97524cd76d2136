// What the running task can ask about itself.
#pragma once

#include <optional>
#include <string>

#include <eddy/detail/operation.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/task_handle.hpp>

namespace eddy {

namespace detail {

/// One trip through the ready list.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] yield_operation final : public leaf<yield_operation> {
public:
    yield_operation() noexcept = default;
    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start() noexcept;
    bool abort() noexcept override { return true; } // it keeps its place in the ready list
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "its turn"; }

private:
    static void run(ready_node& n);
};

/// Checks for cancellation, spends budget; suspends only if one of them asks for it.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] checkpoint_operation final : public leaf<checkpoint_operation> {
public:
    checkpoint_operation() noexcept = default;
    [[nodiscard]] bool try_now() const noexcept { return true; }
    bool start() const noexcept { return true; }
    bool abort() noexcept override { return true; }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "a checkpoint"; }
};

} // namespace detail

namespace this_task {

/// The task that runs on this thread; an empty handle inside plain callbacks and outside loops.
[[nodiscard]] any_task handle() noexcept;
/// Its name; empty if there is none.
[[nodiscard]] std::string name();
/// Is the current task inside a cancelled scope, so that the next checkpoint will throw? For loops that compute.
[[nodiscard]] bool cancel_requested() noexcept;
/// The earliest deadline of the scopes around the current task, up to the first shield; nullopt if there is none.
[[nodiscard]] std::optional<loop_clock::time_point> effective_deadline() noexcept;

/// Awaitable: exactly one trip through the ready list; other ready tasks go first. Throws if cancelled (nothing else happened).
inline detail::yield_operation yield() noexcept {
    return {};
}
/// Awaitable: an explicit cancellation point for code that computes. Throws if cancelled; lets others run when the
/// task's budget is spent; else goes on at once.
inline detail::checkpoint_operation checkpoint() noexcept {
    return {};
}

} // namespace this_task
} // namespace eddy
