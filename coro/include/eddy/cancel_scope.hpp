// cancel_scope: a region of a task that can be cancelled as a whole, with a deadline that can be moved.
//
//     co_await with_scope([&](cancel_scope& s) -> task<> { …; s.cancel("enough"); … });
//
// Cancellation is a state of a scope, not an event (R1): while a task is inside a cancelled scope, every checkpoint throws
// `operation_cancelled`, so code that swallows it cannot carry on by accident. The exception ends at the exit of the
// outermost cancelled scope, which owns it (R5). Children of a group inherit the scopes around their group. A shield keeps
// cancellations of the scopes around it out.
//
// All functions belong to the loop's thread.
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/loop_clock.hpp>
#include <eddy/task.hpp>

namespace eddy {

class cancel_scope : public detail::scope_node {
public:
    using time_point = loop_clock::time_point;

    cancel_scope() noexcept;
    /// The deadline is armed when the scope is entered.
    explicit cancel_scope(std::optional<time_point> deadline) noexcept;
    ~cancel_scope();

    /// Cancels what runs inside. The first reason stands. Before the scope is entered: cancelled on entry; after it was
    /// left: no effect. False if it was cancelled before or is over.
    bool cancel(std::string_view reason = {});

    /// Was `cancel` called or did the deadline pass?
    [[nodiscard]] bool cancel_called() const noexcept { return own(); }
    /// Did a cancellation end at this scope's exit? Known after the exit.
    [[nodiscard]] bool cancelled_caught() const noexcept { return caught_; }
    /// Did the deadline pass while the scope was open?
    [[nodiscard]] bool expired() const noexcept { return expired_; }
    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return deadline_; }
    /// Moves the deadline of an open scope; into the past: the scope is cancelled in the next tick; nullopt: never.
    /// Throws `std::logic_error` before entry, after expiry or after exit.
    void reschedule(std::optional<time_point> deadline);
    /// Stop is requested on the loop thread, in the tick after the scope is cancelled or inherits a cancellation.
    [[nodiscard]] std::stop_token stop_token();

    // For the library's verbs, in this order: open, (body), close.
    void open(detail::task_context& host, bool shield = false);
    void close() noexcept;
    /// Called while an `operation_cancelled` leaves the body: true if it ends here.
    [[nodiscard]] bool catch_cancellation() noexcept { return caught_ = catches(); }

private:
    void arm();
    static void deadline_passed(detail::ready_node& n);
    static void stop_due(detail::ready_node& n);
    void on_effective() noexcept override;
    [[nodiscard]] std::optional<time_point> own_deadline() const noexcept override { return deadline_; }

    enum class phase : std::uint8_t { fresh, open, closed };
    struct owned_timer : detail::timer_node {
        owned_timer(void (*f)(ready_node&), cancel_scope& s) noexcept : timer_node(f), scope(s) {}
        cancel_scope& scope;
    };
    struct owned_node : detail::ready_node {
        owned_node(void (*f)(ready_node&), cancel_scope& s) noexcept : ready_node(f), scope(s) {}
        cancel_scope& scope;
    };
    owned_timer timer_;
    owned_node stop_node_;
    std::optional<time_point> deadline_;
    std::optional<std::stop_source> stop_;
    phase phase_ = phase::fresh;
    bool caught_ = false;
    bool expired_ = false;
};

namespace detail {

template <class F>
using body_value_t = typename std::invoke_result_t<std::decay_t<F>&, cancel_scope&>::value_type;
/// The body of a shield takes no argument, or the shield's scope.
template <class F>
struct shield_body {
    using type = std::invoke_result_t<std::decay_t<F>&>;
};
template <class F>
    requires std::invocable<std::decay_t<F>&, cancel_scope&>
struct shield_body<F> {
    using type = std::invoke_result_t<std::decay_t<F>&, cancel_scope&>;
};
template <class F>
using shield_value_t = typename shield_body<F>::type::value_type;

/// What `move_on_after` and `with_shield(d, …)` give: nothing if their own scope caught the cancellation (R15).
template <class T>
using maybe_t = std::conditional_t<
    std::is_void_v<T>, bool,
    std::optional<std::conditional_t<std::is_reference_v<T>, std::reference_wrapper<std::remove_reference_t<T>>, T>>>;

} // namespace detail

/// Runs `fn(scope)` inside a new scope. If the scope's own cancellation ended the body: returns for `task<>`, throws
/// `child_cancelled` for `task<T>` (R15). No checkpoint of its own.
template <class F>
auto with_scope(F&& fn) -> detail::hazard_t<task<detail::body_value_t<F>>, F>;
/// The same with a scope of one's own, which must outlive the call and is used once.
template <class F>
auto with_scope(cancel_scope& scope, F&& fn) -> detail::hazard_t<task<detail::body_value_t<F>>, F>;

/// Runs `fn()` or `fn(scope)` where cancellations of the scopes around it do not reach; they are delivered at the first
/// checkpoint after the shield. Only the end of the grace period at shutdown breaks it (R16).
template <class F>
auto with_shield(F&& fn) -> detail::hazard_t<task<detail::shield_value_t<F>>, F>;
/// Runs any awaitable the same way: `co_await shielded(f(1))`. It is awaited inline, not as a task of its own.
template <class A>
    requires awaitable<A>
auto shielded(A&& a) -> detail::hazard_t<task<detail::await_result_t<A>>, A>;

} // namespace eddy

#include <eddy/detail/cancel_scope_impl.hpp> // --- implementation
