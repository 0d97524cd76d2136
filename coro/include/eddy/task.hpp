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
/// unwinds from there. Destroying an unstarted task destroys its arguments; its body never runs.
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
            if (handle_) handle_.destroy();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~task() {
        if (handle_) handle_.destroy();
    }

    /// False for a default-constructed or moved-from task.
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

    [[nodiscard]] handle_type handle() const noexcept { return handle_; } // for the library

private:
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

/// Any awaitable as a task of its own.
template <class A>
task<await_result_t<A>> lift(A a) {
    co_return co_await std::move(a);
}

} // namespace detail
} // namespace eddy
