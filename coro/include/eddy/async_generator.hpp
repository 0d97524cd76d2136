// async_generator<T>: a coroutine that yields values and may await in between.
//
//     async_generator<int> count(int n) {
//         for (int i = 0; i < n; ++i) {
//             co_await sleep_for(1s);
//             co_yield i;
//         }
//     }
//     auto gen = count(3);
//     while (auto v = co_await gen.next()) use(*v);      // std::optional<int>; int* for async_generator<int&>
//
// Lazy: nothing runs before the first `next()`, and between two of them nothing runs either. The body runs inline in the
// task that awaits `next()`: it sees that task's cancellation, deadlines and task-locals. Successive calls may come from
// different tasks, and from inside different scopes.
//
// The life of the frame is the life of the generator object. Its destructor destroys a body that is suspended at a
// `co_yield` (or has not started), at once and with all its locals: what has to be awaited for that is skipped. Where
// that matters, `co_await gen.close()` ends the body in the current task first:
//
//     auto rows = co_await connect();
//     std::exception_ptr why;
//     try {
//         while (auto r = co_await rows.fetch()) co_yield *r;
//     } catch (...) { why = std::current_exception(); }  // `generator_closed`, if the consumer has had enough
//     co_await shielded(rows.disconnect());
//     if (why) std::rethrow_exception(why);
//
// A scope or task group that the body opens must be closed again before it yields: what is awaited inside would be the
// consumer's, and be cancelled with it (PEP 789). The verbs (`with_timeout`, `with_task_group`, …) cannot be used otherwise;
// a scope opened by hand is found at the `co_yield`, which throws `std::logic_error` in the body.
#pragma once

#include <concepts>
#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <eddy/detail/promise.hpp>
#include <eddy/errors.hpp>

namespace eddy {

/// Thrown by the `co_yield` at which a generator is when it is closed. Not a `std::exception`: like a cancellation it is
/// caught only to clean up. It ends in `close()`.
class generator_closed {};

namespace detail {
template <class T>
class async_generator_promise;
template <class T>
class generator_next;
template <class T>
class generator_close;
template <class T>
class close_awaiter;
} // namespace detail

/// Move-only. T may be a reference or move-only. Loop thread only. Destroyed while a `next()` is outstanding, it leaves its
/// body to that call, which then throws `std::logic_error`.
template <class T>
class [[nodiscard("a generator is lazy: co_await its next()")]] async_generator {
    static_assert(!std::is_void_v<T> && !std::is_rvalue_reference_v<T>, "a generator yields objects or lvalue references");

public:
    using promise_type = detail::async_generator_promise<T>;
    using value_type = std::remove_cvref_t<T>;
    using handle_type = std::coroutine_handle<promise_type>;

    async_generator() noexcept = default;
    explicit async_generator(handle_type h) noexcept : handle_(h) {}
    async_generator(async_generator&& o) noexcept
        : handle_(std::exchange(o.handle_, nullptr)), closed_(std::exchange(o.closed_, false)) {}
    async_generator& operator=(async_generator&& o) noexcept {
        async_generator(std::move(o)).swap(*this);
        return *this;
    }
    ~async_generator() {
        if (handle_) handle_.promise().let_go();
    }

    /// False for a default-constructed or moved-from generator.
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

    /// Awaitable: runs the body up to its next `co_yield`; nothing once it has ended. Values are moved out; a `T*` points
    /// to the yielded object, until the next call. What the body throws is thrown here, and ends it: later calls give
    /// nothing. No checkpoint of its own, it costs no budget and suspends only where the body does; a cancellation reaches
    /// the operation that the body waits for, and if the body lets it pass, ends the generator. Throws `busy_resource` if
    /// another `next` is outstanding, `std::logic_error` for an empty generator.
    [[nodiscard]] detail::generator_next<T> next() {
        if (!handle_ && !closed_) detail::throw_logic_error("next() on an empty generator (it was moved from, or never had a body)");
        return detail::generator_next<T>(handle_);
    }

    /// Awaitable: ends the body. Its `co_yield` throws `generator_closed`, and it cleans up, awaiting what it needs, in the
    /// current task; then its frame is destroyed. A body that has not started or has ended is only destroyed. Throws what
    /// the body throws instead, `std::logic_error` if it yields once more; the frame is gone in any case. `busy_resource` if
    /// a `next` is outstanding. Not shielded: in a cancelled scope the cleanup's checkpoints throw; write
    /// `co_await shielded(gen.close())` where it has to happen. Closing twice is harmless, and `next` gives nothing then.
    [[nodiscard]] detail::generator_close<T> close() { return detail::generator_close<T>(*this); }

private:
    friend class detail::close_awaiter<T>;
    void swap(async_generator& o) noexcept {
        std::swap(handle_, o.handle_);
        std::swap(closed_, o.closed_);
    }
    handle_type handle_;
    bool closed_ = false;
};

// --- implementation

namespace detail {

/// The part that does not depend on T: where the body is, and who waits for it.
///
///   idle ──next──► running ──co_yield──► idle         the frame is suspended at a co_yield, or has not started
///                  running ──end───────► idle         … or is done: `coroutine_handle::done`
class generator_state {
public:
    [[nodiscard]] bool running() const noexcept { return running_; }

protected:
    void check_idle() const;
    /// Throws unless the body is in the scope that it was resumed in.
    void check_scope(const task_context& t) const;

    scope_node* scope_ = nullptr; // in which it was resumed
    bool running_ = false;
    bool yielded_ = false;
    bool closing_ = false;
    bool orphaned_ = false; // its object was destroyed while it ran
};

/// A value on its way out of a variable: `co_yield std::move(v)` cannot be told from a temporary (trap T1).
template <class T>
struct handed_over {
    explicit handed_over(T& v) noexcept : value(v) {}
    T& value;
};

template <class T>
class async_generator_promise final : public promise_result<T>, public generator_state {
    static_assert(std::is_reference_v<T> || alignof(T) <= alignof(std::max_align_t),
                  "coroutine frames are not over-aligned (trap T17): yield a pointer to such an object");
    using handle = std::coroutine_handle<async_generator_promise>;

public:
    /// At a `co_yield`: hands the value over by going back to who awaits.
    class yield_awaiter {
    public:
        explicit yield_awaiter(async_generator_promise& p) noexcept : promise_(p) {}
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {
            promise_.yielded_ = true;
            promise_.context->came_back(promise_);
            if (!promise_.resumed_inline) promise_.context->continue_with(promise_.continuation);
        }
        void await_resume() const {
            if (promise_.closing_) throw generator_closed();
        }

    private:
        async_generator_promise& promise_;
    };

    [[nodiscard]] async_generator<T> get_return_object() noexcept { return async_generator<T>(handle::from_promise(*this)); }
    void return_void() const noexcept {}

    template <class U = T>
        requires(!std::is_reference_v<T> && std::constructible_from<T, U &&>)
    [[nodiscard]] yield_awaiter yield_value(U&& value) {
        static_assert(!compiler_destroys_temporaries_twice || std::is_lvalue_reference_v<U> || !hazardous_part<U>,
                      "GCC before 13 destroys a yielded temporary of this type twice (it is an aggregate that owns something, "
                      "or a closure): give it a name and yield that, or give the type a constructor");
        check_scope(*this->context);
        this->slot.emplace(std::forward<U>(value));
        return yield_awaiter(*this);
    }
    [[nodiscard]] yield_awaiter yield_value(handed_over<std::remove_reference_t<T>> v)
        requires(!std::is_reference_v<T>)
    {
        check_scope(*this->context);
        this->slot.emplace(std::move(v.value));
        return yield_awaiter(*this);
    }
    [[nodiscard]] yield_awaiter yield_value(T& value)
        requires std::is_reference_v<T>
    {
        check_scope(*this->context);
        this->slot.emplace(value);
        return yield_awaiter(*this);
    }

    // --- called by who awaits
    /// True if the body has ended, and need not run. Throws `busy_resource`.
    [[nodiscard]] bool ended() {
        check_idle();
        return self().done();
    }
    /// As task_awaiter::await_suspend: false if the body came back without suspending.
    bool resume(promise_base& caller, std::coroutine_handle<> h) noexcept {
        task_context& t = *caller.context;
        this->slot.reset();
        this->context = &t;
        this->continuation = h;
        this->parent = &caller;
        scope_ = &t.scope();
        running_ = this->started = true;
        yielded_ = false;
        if (t.depth >= nesting_bound) {
            this->resumed_inline = false;
            t.continue_with(self());
            return true;
        }
        this->resumed_inline = true;
        ++t.depth;
        self().resume();
        --t.depth;
        if (yielded_ || self().done()) return false;
        this->resumed_inline = false;
        return true;
    }
    /// The body came back. Rethrows its error; destroys the frame if its object is gone.
    void settle() {
        if (!std::exchange(running_, false)) return;
        if (orphaned_) {
            self().destroy();
            throw_logic_error("the generator was destroyed while its next() was outstanding");
        }
        if (this->error) std::rethrow_exception(std::exchange(this->error, nullptr));
    }
    void close() noexcept { closing_ = true; }
    void let_go() noexcept {
        if (running_)
            orphaned_ = true;
        else
            self().destroy();
    }

private:
    [[nodiscard]] handle self() noexcept { return handle::from_promise(*this); }
};

/// What the awaiters of `next` and `close` have in common. They hold pointers only.
template <class T>
class generator_awaiter {
public:
    using handle = std::coroutine_handle<async_generator_promise<T>>;
    generator_awaiter(handle h, promise_base& caller) noexcept : generator_(h), caller_(caller) {}
    bool await_suspend(std::coroutine_handle<> h) const noexcept { return generator_.promise().resume(caller_, h); }

    // For `as_result`: a cancellation comes as an exception of the body.
    [[nodiscard]] bool was_cancelled() const noexcept { return false; }
    [[nodiscard]] bool failed_to_begin() const noexcept { return false; }
    [[nodiscard]] task_context& task() const noexcept { return *caller_.context; }

protected:
    handle generator_;
    promise_base& caller_;
};

template <class T>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] next_awaiter final : public generator_awaiter<T> {
public:
    using result = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::optional<std::remove_reference_t<T>>>;
    using generator_awaiter<T>::generator_awaiter;
    [[nodiscard]] bool await_ready() const { return !this->generator_ || this->generator_.promise().ended(); }
    result await_resume() const {
        if (!this->generator_) return result();
        async_generator_promise<T>& p = this->generator_.promise();
        p.settle();
        if (!p.slot.has_value()) return result();
        if constexpr (std::is_reference_v<T>)
            return std::addressof(p.slot.value());
        else
            return result(std::in_place, p.slot.take());
    }
};

/// Takes the frame over: the generator may go away meanwhile.
template <class T>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] close_awaiter final : public generator_awaiter<T> {
public:
    close_awaiter(async_generator<T>& g, promise_base& caller) noexcept : generator_awaiter<T>(nullptr, caller), object_(g) {}
    close_awaiter(const close_awaiter&) = delete;
    close_awaiter& operator=(const close_awaiter&) = delete;
    ~close_awaiter() {
        if (this->generator_) this->generator_.destroy();
    }
    [[nodiscard]] bool await_ready() {
        if (!object_.handle_) return object_.closed_ = true;
        async_generator_promise<T>& p = object_.handle_.promise();
        const bool nothing_to_do = p.ended() || !p.started;
        object_.closed_ = true;
        this->generator_ = std::exchange(object_.handle_, nullptr);
        p.close();
        return nothing_to_do;
    }
    void await_resume() const {
        if (!this->generator_) return;
        async_generator_promise<T>& p = this->generator_.promise();
        try {
            p.settle();
        } catch (const generator_closed&) { // the ordinary way to end
        }
        if (p.slot.has_value()) throw_logic_error("a generator that was being closed has yielded again; let generator_closed pass");
    }

private:
    async_generator<T>& object_;
};

template <class T>
class [[nodiscard("co_await it")]] generator_next {
public:
    using handle = std::coroutine_handle<async_generator_promise<T>>;
    explicit generator_next(handle h) noexcept : generator_(h) {}
    next_awaiter<T> make_awaiter(promise_base& caller) const noexcept { return {generator_, caller}; }

private:
    handle generator_;
};

template <class T>
class [[nodiscard("co_await it")]] generator_close {
public:
    explicit generator_close(async_generator<T>& g) noexcept : object_(&g) {}
    close_awaiter<T> make_awaiter(promise_base& caller) const noexcept { return {*object_, caller}; }

private:
    async_generator<T>* object_;
};

} // namespace detail
} // namespace eddy
