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
    [[nodiscard]] detail::join_operation join() const&;
    [[nodiscard]] detail::join_operation join() &&;
    [[nodiscard]] const detail::join_operation join() const&&; // of a temporary that must not be awaited (trap T1)
    /// Cancels at once; awaited, waits until the task has unwound. An error in its cleanup goes to the exception handler
    /// and counts as seen. Cancelling the wait leaves the task to finish its unwinding on its own.
    [[nodiscard]] detail::cancel_join_operation cancel_and_join() const&;
    [[nodiscard]] detail::cancel_join_operation cancel_and_join() &&;
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

// --- implementation

namespace detail {

class join_operation final : public join_operation_base {
public:
    explicit join_operation(task_context& t) noexcept : join_operation_base(t) {}
    void take() const noexcept {}
};

class cancel_join_operation final : public join_operation_base {
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

} // namespace detail

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
