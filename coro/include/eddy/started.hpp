// started: how a child of a task group says that it is ready.
//
//     task<> server_main(started<int> ready, int port) {
//         tcp_listener l = tcp_listener::bind({"127.0.0.1", port});
//         ready(l.local_endpoint().port());
//         co_await serve(l, handler);
//     }
//     int port = co_await g.start(server_main, 0);          // <eddy/task_group.hpp>
#pragma once

#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/promise.hpp>
#include <eddy/task_handle.hpp>

namespace eddy {

namespace detail {

class start_operation;

/// What `started` and the call of `task_group::start` share.
class start_state_base {
public:
    /// Throws `invalid_state` for a second time.
    void require_first() const;
    /// The child is the group's from now on.
    void now_ready() noexcept;

    any_task child; // until it is ready, or start is over
    std::size_t* starting = nullptr; // its group's count; valid while the child has not ended
    bool ready = false;

private:
    friend class start_operation;
    start_operation* waiter_ = nullptr;
};

template <class T>
class start_state : public start_state_base {
public:
    result_slot<T> value;
};

/// Waits until the child is ready or has ended.
class start_operation final : public leaf<start_operation>, private task_watcher {
public:
    explicit start_operation(start_state_base& s) noexcept : task_watcher(&child_ended), shared_(&s) {}
    [[nodiscard]] bool try_now() const noexcept { return shared_->ready || shared_->child.done(); }
    bool start() noexcept;
    bool abort() noexcept override;
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "a child to be ready"; }

private:
    friend class start_state_base;
    void child_ready() noexcept;
    static void child_ended(task_watcher& w) noexcept;
    start_state_base* shared_;
};

/// The end of a child that was never ready: throws its error.
[[noreturn]] void throw_not_ready(task_context& child);

} // namespace detail

/// Given to the child; move-only. Dropping it says nothing: it is the child's end without a call that is an error.
template <class T = void>
class started {
public:
    explicit started(std::shared_ptr<detail::start_state<T>> s) noexcept : state_(std::move(s)) {} // for the library
    started(started&&) noexcept = default;
    started& operator=(started&&) noexcept = default;

    /// "I am ready, and this is what my starter wanted to know." Resumes the starter on the loop, never inline. Loop
    /// thread only. Throws `invalid_state` for the second call. If the starter has gone, nothing happens.
    template <class U = T>
        requires(!std::is_void_v<U>)
    void operator()(U value) {
        state_->require_first();
        state_->value.emplace(std::move(value));
        state_->now_ready();
    }
    void operator()()
        requires std::is_void_v<T>
    {
        state_->require_first();
        state_->value.emplace();
        state_->now_ready();
    }

private:
    std::shared_ptr<detail::start_state<T>> state_;
};

namespace detail {

/// The T of the `started<T>` that is the first parameter of a function or of a callable with one call operator.
template <class F>
struct started_value : started_value<decltype(&F::operator())> {};
template <class R, class T, class... A>
struct started_value<R (*)(started<T>, A...)> {
    using type = T;
};
template <class C, class R, class T, class... A>
struct started_value<R (C::*)(started<T>, A...)> {
    using type = T;
};
template <class C, class R, class T, class... A>
struct started_value<R (C::*)(started<T>, A...) const> {
    using type = T;
};
template <class R, class T, class... A>
struct started_value<R (*)(started<T>, A...) noexcept> {
    using type = T;
};
template <class C, class R, class T, class... A>
struct started_value<R (C::*)(started<T>, A...) noexcept> {
    using type = T;
};
template <class C, class R, class T, class... A>
struct started_value<R (C::*)(started<T>, A...) const noexcept> {
    using type = T;
};
template <class F>
using started_value_t = typename started_value<std::decay_t<F>>::type;

} // namespace detail
} // namespace eddy
