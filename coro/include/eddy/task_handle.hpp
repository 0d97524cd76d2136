// Handles of spawned tasks: await, query, name, cancel.
//
// A handle only observes. Destroying it does not cancel the task, and cancelling whoever awaits it leaves the task alone.
// Handles are reference counted and belong to the loop's thread. A failure that nobody received reaches the loop's
// exception handler when the last handle goes (rule R10).
#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/detail/task_state.hpp>
#include <eddy/errors.hpp>

namespace eddy {

namespace detail {
class join_operation;
class cancel_join_operation;
template <class T, bool Move>
class result_operation;
} // namespace detail

/// A spawned task of any type. Empty when default-constructed; everything but `operator bool` needs a task.
class any_task {
public:
    any_task() noexcept = default;
    any_task(const any_task& o) noexcept : state_(o.state_) {
        if (state_) state_->retain();
    }
    any_task(any_task&& o) noexcept : state_(std::exchange(o.state_, nullptr)) {}
    any_task& operator=(any_task o) noexcept {
        std::swap(state_, o.state_);
        return *this;
    }
    ~any_task() {
        if (state_) state_->release();
    }

    [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }
    [[nodiscard]] friend bool operator==(const any_task& a, const any_task& b) noexcept { return a.state_ == b.state_; }

    /// Has it ended, with a value, an error or cancelled? True only after it has unwound.
    [[nodiscard]] bool done() const { return state().done(); }
    /// Did it end cancelled?
    [[nodiscard]] bool cancelled() const { return state().was_cancelled(); }
    /// The error it ended with, else null. Asking counts as receiving it (R10). Throws `invalid_state` while it runs.
    [[nodiscard]] std::exception_ptr exception() const;

    /// Cancels the task's root scope (level-triggered: every further checkpoint of it throws, R1). The first reason
    /// stands, later calls change nothing. False if the task was done.
    bool cancel(std::string_view reason = {}) const;

    /// Awaitable: until the task is done; throws nothing of the task's. Checkpoint; cancelling the wait leaves the task.
    detail::join_operation join() const&;
    detail::join_operation join() &&;
    [[nodiscard]] const detail::join_operation join() const&&; // of a temporary that must not be awaited (trap T1)
    /// Cancels at once; awaited, waits until the task has unwound. An error in its cleanup goes to the exception handler
    /// and counts as seen. Cancelling the wait leaves the task to finish its unwinding on its own.
    detail::cancel_join_operation cancel_and_join() const&;
    detail::cancel_join_operation cancel_and_join() &&;
    [[nodiscard]] const detail::cancel_join_operation cancel_and_join() const&&;

    [[nodiscard]] std::string name() const { return state().name(); }
    void set_name(std::string_view name) const { state().set_name(name); }
    /// The innermost await site outside this library that the task is suspended at; where it was spawned, before that.
    [[nodiscard]] std::source_location where() const { return state().where(); }
    [[nodiscard]] std::uint64_t id() const { return state().id(); }

    explicit any_task(detail::task_context* s) noexcept : state_(s) { // for the library
        if (state_) state_->retain();
    }
    [[nodiscard]] detail::task_context& context() const { return state(); }

protected:
    [[nodiscard]] detail::task_context& state() const {
        if (!state_) detail::throw_logic_error("this task handle is empty");
        return *state_;
    }

private:
    detail::task_context* state_ = nullptr;
};

/// A spawned task with a result of type T. `co_await h` gives `const T&` and can be repeated; `co_await std::move(h)`
/// moves the value out. Both rethrow the task's error (the same object each time), and throw `child_cancelled` if the
/// task ended cancelled. Awaiting resumes on the loop, never inline from the task that ends. A ready handle is taken
/// without suspending, within the budget (R12). A task that awaits itself gets a `std::logic_error`.
template <class T = void>
class task_handle : public any_task {
public:
    using value_type = T;
    task_handle() noexcept = default;

    /// The value of a finished task. Throws its error, `child_cancelled`, or `invalid_state` while it runs.
    [[nodiscard]] decltype(auto) result() const;

    explicit task_handle(detail::task_state<T>* s) noexcept : any_task(s) {} // for the library
    [[nodiscard]] detail::result_operation<T, false> as_operation() const&;
    [[nodiscard]] detail::result_operation<T, true> as_operation() &&;
    [[nodiscard]] detail::result_operation<T, true> as_operation() const&&;
};

namespace detail {
template <class T>
class owned_operation;
template <class H>
inline constexpr bool is_handle = false;
template <class T>
inline constexpr bool is_handle<task_handle<T>> = true;
} // namespace detail
/// Awaitable: the task's value, as `co_await std::move(h)`, but the task belongs to whoever awaits it: cancelling the
/// wait cancels the task, and the wait ends when that has. A value that it still yields is returned (R2).
template <class H>
    requires detail::is_handle<std::remove_cvref_t<H>>
[[nodiscard]] auto owned(H&& h) -> detail::hazard_t<detail::owned_operation<typename std::remove_cvref_t<H>::value_type>, H>;

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] join_operation final : public join_operation_base {
public:
    explicit join_operation(task_context& t) noexcept : join_operation_base(t) {}
    void take() const noexcept {}
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] cancel_join_operation final : public join_operation_base {
public:
    explicit cancel_join_operation(task_context& t) : join_operation_base(t) { t.cancel({}); }
    void take() const;
};

[[noreturn]] void throw_child_cancelled(const task_context& t);
/// Throws what a failed or cancelled task ended with.
inline void check_value(task_context& t) {
    if (t.was_cancelled()) throw_child_cancelled(t);
    if (t.error()) {
        t.mark_seen();
        std::rethrow_exception(t.error());
    }
}

template <class T>
struct handle_result {
    using type = const T&;
};
template <class T>
struct handle_result<T&> {
    using type = T&;
};
template <>
struct handle_result<void> {
    using type = void;
};

template <class T, bool Move>
class result_operation final : public join_operation_base {
public:
    explicit result_operation(task_context& t) noexcept : join_operation_base(t) {}
    std::conditional_t<Move, T, typename handle_result<T>::type> take() {
        check_value(*target_);
        auto& slot = static_cast<task_state<T>*>(target_)->result();
        if constexpr (Move)
            return slot.take();
        else
            return slot.value();
    }
};

/// Waits for a task that is cancelled with the wait.
template <class T>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] owned_operation final : public operation, private task_watcher {
public:
    explicit owned_operation(task_handle<T> h) noexcept : task_watcher(&task_ended), handle_(std::move(h)), canceller_(*this) {}
    owned_operation(owned_operation&& o) noexcept
        : operation(std::move(o)), task_watcher(&task_ended), handle_(std::move(o.handle_)), canceller_(*this) {}
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] bool try_now() const {
        if (handle_.done()) return true;
        require_awaitable_here(handle_.context());
        return false;
    }
    bool start() noexcept {
        handle_.context().watch(*this);
        return false;
    }
    bool abort() noexcept override {
        task().loop().make_ready(canceller_);
        return false;
    }
    // Its owner is cancelled, so it is, too; the wait ends as one that was aborted.
    state cancelled_unstarted() noexcept override {
        if (handle_.done() || &handle_.context() == current().task || &handle_.context().loop() != current().loop) return state::cancelled;
        start();
        return abort() ? state::cancelled : state::aborting;
    }
    T take() { return result_operation<T, true>(handle_.context()).take(); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "task"; }
    [[nodiscard]] bool awaits(const task_context& t) const noexcept override { return &handle_.context() == &t; }

private:
    // From the ready list: those that own each other are cancelled one after another, not inside each other.
    struct canceller final : ready_node {
        explicit canceller(owned_operation& o) noexcept : ready_node(&run_it), operation(o) {}
        static void run_it(ready_node& n) {
            static_cast<canceller&>(n).operation.handle_.context().cancel("the task that owns it was cancelled");
        }
        owned_operation& operation;
    };
    static void task_ended(task_watcher& w) noexcept {
        auto& op = static_cast<owned_operation&>(w);
        op.canceller_.unlink();
        if (op.aborting() && op.handle_.cancelled())
            op.finish_cancelled();
        else
            op.finish();
    }
    task_handle<T> handle_;
    canceller canceller_;
};

} // namespace detail

template <class H>
    requires detail::is_handle<std::remove_cvref_t<H>>
auto owned(H&& h) -> detail::hazard_t<detail::owned_operation<typename std::remove_cvref_t<H>::value_type>, H> {
    using operation = detail::owned_operation<typename std::remove_cvref_t<H>::value_type>;
    if constexpr (std::is_lvalue_reference_v<H>)
        return operation(h);
    else
        return operation(detail::move_out(h));
}
inline detail::join_operation any_task::join() const& {
    return detail::join_operation(state());
}
inline detail::join_operation any_task::join() && {
    return detail::join_operation(state());
}
inline const detail::join_operation any_task::join() const&& {
    return detail::join_operation(state());
}
inline detail::cancel_join_operation any_task::cancel_and_join() const& {
    return detail::cancel_join_operation(state());
}
inline detail::cancel_join_operation any_task::cancel_and_join() && {
    return detail::cancel_join_operation(state());
}
inline const detail::cancel_join_operation any_task::cancel_and_join() const&& {
    return detail::cancel_join_operation(state());
}

template <class T>
decltype(auto) task_handle<T>::result() const {
    if (!done()) throw invalid_state("result(): task '" + name() + "' has not ended yet; co_await it");
    return detail::result_operation<T, false>(state()).take();
}
template <class T>
detail::result_operation<T, false> task_handle<T>::as_operation() const& {
    return detail::result_operation<T, false>(state());
}
template <class T>
detail::result_operation<T, true> task_handle<T>::as_operation() && {
    return detail::result_operation<T, true>(state());
}
template <class T>
detail::result_operation<T, true> task_handle<T>::as_operation() const&& {
    return detail::result_operation<T, true>(state());
}

} // namespace eddy
