// The promise of `task<T>`: how coroutines of one task call each other, and how they reach leaf operations.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

#include <eddy/detail/operation.hpp>
#include <eddy/detail/task_context.hpp>
#include <eddy/errors.hpp>

namespace eddy {

template <class T>
class task;

namespace detail {

template <class T>
class task_promise;

/// Debug mode: reports a task that was dropped without having been awaited. `frame`: its coroutine's.
void note_never_awaited(const void* frame) noexcept;

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

/// Awaits a leaf operation. Holds only pointers: the operation itself is the caller's temporary or variable.
template <class Op>
class leaf_awaiter {
public:
    leaf_awaiter(Op& op, promise_base& p) noexcept : op_(op), promise_(p) {}

    bool await_ready() {
        if (op_.state_ != operation::state::idle) throw_logic_error("this operation was started before; an operation is awaited once");
        op_.task_ = here();
        if constexpr (!shielded_operation<Op>) {
            if (!op_.task_->spend()) [[unlikely]] {
                op_.state_ = operation::state::deferred;
                return false;
            }
        }
        if (!op_.try_now()) return false;
        op_.state_ = operation::state::done;
        return true;
    }
    bool await_suspend(std::coroutine_handle<> h) {
        task_context& t = *op_.task_;
        const bool deferred = op_.state_ == operation::state::deferred;
        promise_base* const before = t.suspend(op_, promise_, h);
        if (deferred) {
            t.defer(op_);
            return true;
        }
        try {
            if (!op_.start()) return true;
        } catch (...) {
            t.unsuspend(op_, before);
            throw;
        }
        t.unsuspend(op_, before);
        return false;
    }
    decltype(auto) await_resume() {
        if (op_.state_ != operation::state::done) [[unlikely]] fail();
        return op_.take();
    }
    /// For `as_result`: whether the operation ended cancelled, without throwing.
    [[nodiscard]] bool was_cancelled() const noexcept { return op_.state_ == operation::state::cancelled; }
    /// It had to wait for its turn and then threw: `take` rethrows that.
    [[nodiscard]] bool failed_to_begin() const noexcept { return op_.state_ == operation::state::failed; }
    [[nodiscard]] Op& op() const noexcept { return op_; }
    [[nodiscard]] task_context& task() const noexcept { return *here(); }

private:
    [[nodiscard]] task_context* here() const noexcept;
    [[noreturn]] void fail() {
        if (op_.state_ == operation::state::failed) op_.task_->rethrow_deferred_error();
        if constexpr (requires { op_.partial(); })
            op_.task_->throw_cancelled(op_.partial());
        else
            op_.task_->throw_cancelled();
    }
    Op& op_;
    promise_base& promise_;
};

/// The same for an operation made on the spot, which lives in the awaiter.
template <class Op>
class held_awaiter {
public:
    template <class A>
    held_awaiter(A&& awaited, promise_base& p)
        : op_(std::forward<A>(awaited).as_operation()), inner_(op_, p) {}
    held_awaiter(const held_awaiter&) = delete;
    held_awaiter& operator=(const held_awaiter&) = delete;
    ~held_awaiter() = default;

    bool await_ready() { return inner_.await_ready(); }
    bool await_suspend(std::coroutine_handle<> h) { return inner_.await_suspend(h); }
    decltype(auto) await_resume() { return inner_.await_resume(); }
    [[nodiscard]] bool was_cancelled() const noexcept { return inner_.was_cancelled(); }
    [[nodiscard]] bool failed_to_begin() const noexcept { return inner_.failed_to_begin(); }
    [[nodiscard]] Op& op() noexcept { return op_; }
    [[nodiscard]] task_context& task() const noexcept { return inner_.task(); }

private:
    Op op_;
    leaf_awaiter<Op> inner_;
};

/// `co_await this_context{}` gives the current task without suspending; for the library's own coroutines.
struct this_context {
    this_context() noexcept {}
};
class this_context_awaiter {
public:
    explicit this_context_awaiter(task_context& t) noexcept : task_(t) {}
    [[nodiscard]] bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    [[nodiscard]] task_context& await_resume() const noexcept { return task_; }

private:
    task_context& task_;
};

/// `co_await entry_check()`: throws if the current scope is cancelled; a checkpoint that waits for nothing.
class entry_check final : public leaf<entry_check> {
public:
    entry_check() noexcept = default;
    [[nodiscard]] bool try_now() const noexcept { return true; }
    bool start() const noexcept { return true; }
    bool abort() noexcept override { return true; }
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "a checkpoint"; }
};

/// Runs a `task<T>` inline in the current task; defined below.
template <class T>
class task_awaiter;

/// Customisation for wrappers such as `as_result`: `a.make_awaiter(promise)` returns the awaiter.
template <class A>
concept makes_awaiter = requires(A&& a, promise_base& p) { std::forward<A>(a).make_awaiter(p); };

/// The awaiter of anything awaitable, made for the coroutine whose promise is `p`.
template <class A>
concept awaitable_in_task = is_task<std::remove_cvref_t<A>> || leaf_operation<A> || has_operation<A> || makes_awaiter<A> ||
                            std::same_as<std::remove_cvref_t<A>, this_context>;

template <awaitable_in_task A>
[[nodiscard]] auto make_awaiter(A&& a, promise_base& p);

class promise_base {
public:
    promise_base() noexcept = default;
    promise_base(const promise_base&) = delete;
    promise_base& operator=(const promise_base&) = delete;

    static void* operator new(std::size_t n) { return allocate_frame(n); }
    static void operator delete(void* p, std::size_t n) noexcept { deallocate_frame(p, n); }

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

    class final_awaiter {
    public:
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        // The frame is not destroyed here (trap T5): the awaiting coroutine's task object or the task itself owns it.
        template <class P>
        void await_suspend(std::coroutine_handle<P> h) const noexcept {
            promise_base& p = h.promise();
            if (p.resumed_inline) return; // our caller is on the machine stack and looks at done()
            if (p.continuation)
                p.context->return_to(p.continuation, *p.parent);
            else
                p.context->root_finished();
        }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }

    template <class A>
    [[nodiscard]] auto await_transform(A&& a, std::source_location site = std::source_location::current()) {
        static_assert(awaitable_in_task<A>, "this type cannot be awaited in a task: await a task<T>, a handle or an operation of eddy");
        static_assert(!(is_task<std::remove_cvref_t<A>> && std::is_lvalue_reference_v<A>),
                      "a task is awaited once and consumed by it: write co_await std::move(t)");
        static_assert(!std::is_const_v<std::remove_reference_t<A>> || std::is_lvalue_reference_v<A>,
                      "GCC before 13 destroys this temporary twice (it owns a closure or an aggregate): give the operation a "
                      "name first, as in `auto op = offload([s] { ... }); co_await op;`");
        await_site = site;
        return make_awaiter(std::forward<A>(a), *this);
    }

    task_context* context = nullptr;
    std::coroutine_handle<> continuation; // the coroutine that awaits this one, if any
    promise_base* parent = nullptr;       // its promise
    std::source_location await_site;      // of the last co_await in this coroutine
    bool started = false;
    bool resumed_inline = false;

protected:
    ~promise_base() = default;
};

inline void task_context::came_back(const promise_base& p) noexcept {
    if (leaf_ == &p) leaf_ = p.parent;
}
template <class Op>
task_context* leaf_awaiter<Op>::here() const noexcept {
    return promise_.context;
}

/// In a handler: what a result's destructor threw goes to the loop's exception handler.
void report_destructor() noexcept;

/// Where a coroutine keeps its result until it is taken: nothing, a value or an error.
template <class T>
class result_slot {
public:
    result_slot() noexcept {}
    result_slot(const result_slot&) = delete;
    result_slot& operator=(const result_slot&) = delete;
    ~result_slot() noexcept { reset(); }

    template <class... A>
    void emplace(A&&... a) {
        if constexpr (std::is_arithmetic_v<T> && sizeof...(A) == 1) // co_return 0 from a task<std::size_t>
            value_ = (static_cast<T>(a), ...);
        else
            ::new (static_cast<void*>(std::addressof(value_))) T(std::forward<A>(a)...);
        has_value_ = true;
    }
    [[nodiscard]] bool has_value() const noexcept { return has_value_; }
    [[nodiscard]] T& value() noexcept { return value_; }
    [[nodiscard]] T take() { return std::move(value_); }
    void reset() noexcept {
        if (!std::exchange(has_value_, false)) return;
        if constexpr (std::is_nothrow_destructible_v<T>) {
            value_.~T();
        } else {
            try {
                value_.~T();
            } catch (...) {
                report_destructor();
            }
        }
    }

private:
    union {
        T value_;
    };
    bool has_value_ = false;
};
template <class T>
class result_slot<T&> {
public:
    void emplace(T& t) noexcept { value_ = std::addressof(t); }
    [[nodiscard]] bool has_value() const noexcept { return value_ != nullptr; }
    [[nodiscard]] T& value() const noexcept { return *value_; }
    [[nodiscard]] T& take() const noexcept { return *value_; }
    void reset() noexcept { value_ = nullptr; }

private:
    T* value_ = nullptr;
};
template <>
class result_slot<void> {
public:
    void emplace() noexcept { has_value_ = true; }
    [[nodiscard]] bool has_value() const noexcept { return has_value_; }
    void value() const noexcept {}
    void take() const noexcept {}
    void reset() noexcept { has_value_ = false; }

private:
    bool has_value_ = false;
};

template <class T>
class promise_result : public promise_base {
public:
    void unhandled_exception() noexcept {
        slot.reset();
        error = std::current_exception();
    }
    T take() {
        if (error) std::rethrow_exception(std::exchange(error, nullptr));
        return slot.take();
    }
    result_slot<T> slot;
    std::exception_ptr error;

protected:
    ~promise_result() = default;
};

template <class T>
class task_promise final : public promise_result<T> {
    static_assert(alignof(T) <= alignof(std::max_align_t),
                  "coroutine frames are not over-aligned (trap T17): return a pointer to such an object");

public:
    task<T> get_return_object() noexcept;
    template <class U = T>
        requires std::is_constructible_v<T, U&&> // a destructor that throws is no obstacle
    void return_value(U&& v) {
        this->slot.emplace(std::forward<U>(v));
    }
};
template <class T>
class task_promise<T&> final : public promise_result<T&> {
public:
    task<T&> get_return_object() noexcept;
    void return_value(T& v) noexcept { this->slot.emplace(v); }
};
template <>
class task_promise<void> final : public promise_result<void> {
public:
    task<void> get_return_object() noexcept;
    void return_void() noexcept { this->slot.emplace(); }
};

// --- implementation

template <class T>
class task_awaiter {
public:
    using handle = std::coroutine_handle<task_promise<T>>;
    task_awaiter(handle h, promise_base& caller) noexcept : child_(h), caller_(caller) {}

    [[nodiscard]] bool await_ready() const {
        if (!child_) throw_logic_error("co_await on an empty task (it was moved from)");
        if (child_.promise().started) throw_logic_error("this task was awaited before; a task is awaited once");
        return false;
    }
    // False if the child finished without suspending: the caller then goes on without a detour. Past the nesting bound
    // the child is handed to the task's trampoline instead; every level then unwinds as if the child had suspended.
    bool await_suspend(std::coroutine_handle<> h) const noexcept {
        promise_base& child = child_.promise();
        task_context& t = *caller_.context;
        child.started = true;
        child.context = &t;
        child.continuation = h;
        child.parent = &caller_;
        if (t.depth >= nesting_bound) {
            t.continue_with(child_);
            return true;
        }
        child.resumed_inline = true;
        ++t.depth;
        child_.resume();
        --t.depth;
        if (child_.done()) return false;
        child.resumed_inline = false;
        return true;
    }
    T await_resume() const { return child_.promise().take(); }

    [[nodiscard]] task_promise<T>& promise() const noexcept { return child_.promise(); }
    [[nodiscard]] task_context& task() const noexcept { return *caller_.context; }

private:
    handle child_;
    promise_base& caller_;
};

template <awaitable_in_task A>
auto make_awaiter(A&& a, promise_base& p) {
    using type = std::remove_cvref_t<A>;
    if constexpr (std::same_as<type, this_context>)
        return this_context_awaiter(*p.context);
    else if constexpr (is_task<type>)
        return task_awaiter<typename type::value_type>(a.handle(), p);
    else if constexpr (leaf_operation<A>)
        return leaf_awaiter<type>(const_cast<type&>(a), p);
    else if constexpr (makes_awaiter<A>)
        return std::forward<A>(a).make_awaiter(p);
    else
        return held_awaiter<std::remove_cvref_t<decltype(std::forward<A>(a).as_operation())>>(std::forward<A>(a), p);
}

template <class A>
using awaiter_of = decltype(make_awaiter(std::declval<A>(), std::declval<promise_base&>()));
template <class A>
using await_result_t = decltype(std::declval<awaiter_of<A>&>().await_resume());
/// The same as a type of its own: the `const T&` of an observed handle becomes a T.
template <class A, class T = await_result_t<A>>
using owned_await_t = std::conditional_t<std::is_lvalue_reference_v<T> && std::is_const_v<std::remove_reference_t<T>>, std::remove_cvref_t<T>, T>;

} // namespace detail
} // namespace eddy
