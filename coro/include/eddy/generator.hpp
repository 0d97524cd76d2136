// generator<T>: a coroutine that yields values and does not await; a range.
//
//     generator<int> squares(int n) {
//         for (int i = 0; i < n; ++i) co_yield i * i;
//     }
//     for (int s : squares(5)) use(s);
//
// For values that have to be waited for there is `async_generator<T>` (<eddy/async_generator.hpp>).
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include <eddy/detail/frame.hpp>
#include <eddy/detail/operation.hpp>
#include <eddy/errors.hpp>

namespace eddy {

/// An input range of `T&`, for one pass. Move-only. It runs in whoever increments the iterator, on any thread, no loop needed;
/// an exception of the body comes out of `begin` or `++`. Destroyed early, the body's locals are destroyed at its `co_yield`.
template <class T>
class [[nodiscard("a generator runs only while it is iterated over")]] generator {
public:
    class promise_type;
    class iterator;
    using handle_type = std::coroutine_handle<promise_type>;

    explicit generator(handle_type h) noexcept : handle_(h) {}
    generator(generator&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
    generator& operator=(generator&& o) noexcept {
        generator(std::move(o)).swap(*this);
        return *this;
    }
    ~generator() {
        if (handle_) handle_.destroy();
    }

    /// Runs the body to its first `co_yield`. Throws `std::logic_error` the second time.
    [[nodiscard]] iterator begin();
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    void swap(generator& o) noexcept { std::swap(handle_, o.handle_); }
    handle_type handle_;
};

// --- implementation

template <class T>
class generator<T>::promise_type {
    using value = std::remove_reference_t<T>;

public:
    static void* operator new(std::size_t n) { return detail::allocate_frame(n); }
    static void operator delete(void* p, std::size_t n) noexcept { detail::deallocate_frame(p, n); }

    [[nodiscard]] generator get_return_object() noexcept { return generator(handle_type::from_promise(*this)); }
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { error_ = std::current_exception(); }
    void await_transform() = delete; // it could not wait: use async_generator

    /// Yields the object itself where it may be changed, else a copy, which lives until the body goes on.
    [[nodiscard]] std::suspend_always yield_value(value& v) noexcept
        requires std::is_reference_v<T>
    {
        value_ = std::addressof(v);
        return {};
    }
    class holder {
    public:
        template <class U>
        holder(promise_type& p, U&& v) : value_(std::forward<U>(v)) {
            p.value_ = std::addressof(value_);
        }
        holder(const holder&) = delete;
        holder& operator=(const holder&) = delete;
        ~holder() = default;
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<>) const noexcept {}
        void await_resume() const noexcept {}

    private:
        value value_;
    };
    template <class U = T>
        requires(!std::is_reference_v<T> && std::constructible_from<T, U &&>)
    [[nodiscard]] holder yield_value(U&& v) {
        static_assert(!detail::compiler_destroys_temporaries_twice || std::is_lvalue_reference_v<U> || !detail::hazardous_part<U>,
                      "GCC before 13 destroys a yielded temporary of this type twice (it is an aggregate that owns something, "
                      "or a closure): give it a name and yield that, or give the type a constructor");
        return holder(*this, std::forward<U>(v));
    }

    [[nodiscard]] value& current() const noexcept { return *value_; }
    bool start() noexcept { return !std::exchange(started_, true); }
    void rethrow() {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }

private:
    value* value_ = nullptr;
    std::exception_ptr error_;
    bool started_ = false;
};

template <class T>
class generator<T>::iterator {
public:
    using value_type = std::remove_cvref_t<T>;
    using difference_type = std::ptrdiff_t;
    using reference = std::remove_reference_t<T>&;

    explicit iterator(handle_type h) noexcept : handle_(h) {}
    iterator(iterator&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
    iterator& operator=(iterator&& o) noexcept {
        handle_ = std::exchange(o.handle_, nullptr);
        return *this;
    }
    ~iterator() = default;

    [[nodiscard]] reference operator*() const noexcept { return handle_.promise().current(); }
    iterator& operator++() {
        handle_.resume();
        handle_.promise().rethrow();
        return *this;
    }
    void operator++(int) { ++*this; }
    [[nodiscard]] friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept { return i.handle_.done(); }

private:
    handle_type handle_;
};

template <class T>
auto generator<T>::begin() -> iterator {
    if (!handle_ || !handle_.promise().start())
        detail::throw_logic_error("generator::begin: it is empty or was iterated over before; a generator is for one pass");
    iterator i(handle_);
    return std::move(++i);
}

} // namespace eddy
