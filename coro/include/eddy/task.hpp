// task<T>: a lazy coroutine.
//
//     task<int> f(int x) { co_return x + 1; }
//     int v = co_await f(1);
//
// Calling a coroutine runs nothing. `co_await` runs it inline in the current task: no scheduling, no allocation but its
// frame, and no checkpoint of its own; only the operations at its leaves suspend, spend budget or throw a cancellation.
// To run it beside the current task, `spawn` it (<eddy/spawn.hpp>).
//
// A coroutine's parameters live in its frame, until the end of the full expression that awaits it; the closure of a
// lambda coroutine does not. Spawn the lambda itself (`spawn(lambda)`), never its result, if it captures anything.
#pragma once

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include <eddy/detail/promise.hpp>

namespace eddy {

/// A coroutine that has not run yet. Move-only; T may be void, a reference, move-only or not default-constructible.
/// Awaiting it cancels nothing and is no checkpoint: a cancellation reaches the leaf operation it is suspended on and
/// unwinds from there. Destroying an unstarted task destroys its arguments; its body never runs, and debug
/// mode reports it, unless an exception or a cancellation is the reason.
template <class T = void>
class [[nodiscard("a task is lazy: co_await it, or spawn it to run it beside this one")]] task {
public:
    using promise_type = detail::task_promise<T>;
    using value_type = T;
    using handle_type = std::coroutine_handle<promise_type>;

    task() noexcept = default;
    explicit task(handle_type h) noexcept : handle_(h) {}
    task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            drop();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    /// GCC before 13: a temporary of ours that must be named before it is awaited (trap T1) may be stored.
    task(const task&& other) noexcept
        requires detail::compiler_destroys_temporaries_twice
        : task(detail::move_out(other)) {}
    task& operator=(const task&& other) noexcept
        requires detail::compiler_destroys_temporaries_twice
    {
        return *this = detail::move_out(other);
    }
    ~task() { drop(); }

    /// False for a default-constructed or moved-from task.
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

    [[nodiscard]] handle_type handle() const noexcept { return handle_; } // for the library
    /// For the library: it is dropped unstarted on purpose.
    void discard() noexcept {
        if (handle_) handle_.promise().started = true;
    }

private:
    void drop() noexcept {
        if (!handle_) return;
        if (!handle_.promise().started) detail::note_never_awaited(handle_.address());
        handle_.destroy();
    }
    handle_type handle_;
};

/// What a task can `co_await`: tasks, handles, futures and the library's operations.
template <class A>
concept awaitable = detail::awaitable_in_task<A>;

template <awaitable A>
using await_result_t = detail::await_result_t<A>;

/// An awaitable whose result converts to T.
template <class A, class T>
concept awaitable_of = awaitable<A> && (std::is_void_v<T> || std::convertible_to<await_result_t<A>, T>);

// --- implementation

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}
template <class T>
task<T&> task_promise<T&>::get_return_object() noexcept {
    return task<T&>(std::coroutine_handle<task_promise>::from_promise(*this));
}
inline task<void> task_promise<void>::get_return_object() noexcept {
    return task<void>(std::coroutine_handle<task_promise>::from_promise(*this));
}

/// What is shared (handles, futures) is awaited as an lvalue and its result copied, where it can be.
template <class A>
inline constexpr bool lifts_a_copy = has_operation<A&> && std::constructible_from<owned_await_t<A&>, await_result_t<A&>>;

/// Any awaitable as a task of its own.
template <class A>
task<owned_await_t<A>> lift(A a) {
    if constexpr (lifts_a_copy<A>)
        co_return co_await a;
    else
        co_return co_await std::move(a);
}

/// For a handle or a future that was given as an lvalue: its value must not be moved out behind the owner's back.
template <class A>
constexpr void require_copyable_result() {
    static_assert(!has_operation<A&> || std::is_void_v<await_result_t<A&>> || lifts_a_copy<A>,
                  "the result of this handle or future cannot be copied, so it has to be moved out: write std::move(h)");
}

} // namespace detail
} // namespace eddy
