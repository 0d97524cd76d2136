// outcome<T>: how an awaitable ended, as a value: with a T, an error or cancelled. as_result: get one without throwing.
//
//     outcome<std::size_t> n = co_await as_result(stream.read_some(buffer));
//     if (!n && n.error() == std::errc::connection_reset) …
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <eddy/errors.hpp>
#include <eddy/task.hpp>

namespace eddy {

namespace detail {
/// How a T is stored where it must be an object: references as reference_wrapper, void as monostate.
template <class T>
struct stored {
    using type = T;
};
template <class T>
struct stored<T&> {
    using type = std::reference_wrapper<T>;
};
template <>
struct stored<void> {
    using type = std::monostate;
};
template <class T>
using stored_t = typename stored<std::remove_cv_t<T>>::type;

struct cancelled_outcome {
    std::shared_ptr<const std::string> reason;
    std::size_t partial = 0;
};
[[nodiscard]] std::error_code error_code_of(const std::exception_ptr& e) noexcept;
template <class A>
class result_awaitable;
template <class A>
using as_result_t = std::conditional_t<std::is_lvalue_reference_v<A>, result_awaitable<A>, hazard_t<result_awaitable<std::remove_cvref_t<A>>, A>>;
} // namespace detail

/// A value, an error or "cancelled". References are held as `std::reference_wrapper`, void as `std::monostate`.
template <class T = void>
class [[nodiscard("an outcome may hold an error: look at it")]] outcome {
public:
    using value_type = detail::stored_t<T>;

    outcome(value_type v) : state_(std::in_place_index<0>, std::move(v)) {}
    outcome(std::exception_ptr e) noexcept
        requires(!std::same_as<value_type, std::exception_ptr>) // that is a value
        : state_(std::in_place_index<1>, std::move(e)) {}
    outcome(detail::cancelled_outcome c) noexcept : state_(std::in_place_index<2>, std::move(c)) {}
    outcome()
        requires std::is_void_v<T>
        : state_(std::in_place_index<0>) {}
    /// The outcome of a caught exception: cancelled for `operation_cancelled`, else the error.
    [[nodiscard]] static outcome of(const std::exception_ptr& e) {
        try {
            std::rethrow_exception(e);
        } catch (const operation_cancelled& c) {
            return outcome(detail::cancelled_outcome{c.reason().empty() ? nullptr : std::make_shared<const std::string>(c.reason()), c.partial()});
        } catch (...) {
            return outcome(failed{}, e);
        }
    }

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] bool cancelled() const noexcept { return state_.index() == 2; }
    /// Bytes that a cancelled write had handed to the kernel (R4); else 0.
    [[nodiscard]] std::size_t partial() const noexcept {
        const auto* c = std::get_if<2>(&state_);
        return c ? c->partial : 0;
    }
    /// The error; null if there is a value or it was cancelled.
    [[nodiscard]] std::exception_ptr exception() const noexcept {
        const auto* e = std::get_if<1>(&state_);
        return e ? *e : nullptr;
    }
    /// The error code of a system error; `operation_canceled` if cancelled; empty for a value and for other errors.
    [[nodiscard]] std::error_code error() const noexcept {
        if (cancelled()) return std::make_error_code(std::errc::operation_canceled);
        const auto* e = std::get_if<1>(&state_);
        return e ? detail::error_code_of(*e) : std::error_code();
    }

    /// The value; throws the error, or `child_cancelled` if it was cancelled.
    [[nodiscard]] value_type& value() & {
        check();
        return *std::get_if<0>(&state_);
    }
    [[nodiscard]] const value_type& value() const& {
        check();
        return *std::get_if<0>(&state_);
    }
    [[nodiscard]] value_type&& value() && {
        check();
        return std::move(*std::get_if<0>(&state_));
    }
    [[nodiscard]] value_type& operator*() noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] const value_type& operator*() const noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] value_type* operator->() noexcept { return std::get_if<0>(&state_); }
    [[nodiscard]] const value_type* operator->() const noexcept { return std::get_if<0>(&state_); }
    template <class U>
    [[nodiscard]] value_type value_or(U&& other) const& {
        return has_value() ? **this : static_cast<value_type>(std::forward<U>(other));
    }
    template <class U>
    [[nodiscard]] value_type value_or(U&& other) && {
        return has_value() ? std::move(**this) : static_cast<value_type>(std::forward<U>(other));
    }

private:
    struct failed {};
    outcome(failed, std::exception_ptr e) noexcept : state_(std::in_place_index<1>, std::move(e)) {}
    void check() const {
        if (const auto* e = std::get_if<1>(&state_)) std::rethrow_exception(*e);
        if (const auto* c = std::get_if<2>(&state_))
            throw child_cancelled(c->reason ? "the operation was cancelled: " + *c->reason : "the operation was cancelled");
    }
    std::variant<value_type, std::exception_ptr, detail::cancelled_outcome> state_;
};

/// Awaitable: `a`'s outcome instead of its value or exception. Being cancelled is an outcome too; the scope stays
/// cancelled, so the next checkpoint throws (R1). Otherwise it is cancelled, suspends and resumes as `a` does.
template <class A>
    requires awaitable<A>
[[nodiscard]] auto as_result(A&& a) -> detail::as_result_t<A>;

// --- implementation

namespace detail {

template <class Awaiter, class T>
class outcome_awaiter {
public:
    template <class A>
    outcome_awaiter(A&& a, promise_base& p) : inner_(detail::make_awaiter(std::forward<A>(a), p)) {}
    // Constructed in place: an awaiter that holds its operation cannot move.
    outcome_awaiter(const outcome_awaiter&) = delete;
    outcome_awaiter& operator=(const outcome_awaiter&) = delete;
    ~outcome_awaiter() = default;

    bool await_ready() {
        try {
            return inner_.await_ready();
        } catch (...) {
            error_ = std::current_exception();
            return true;
        }
    }
    bool await_suspend(std::coroutine_handle<> h) {
        try {
            return inner_.await_suspend(h);
        } catch (...) {
            error_ = std::current_exception();
            return false;
        }
    }
    outcome<T> await_resume() {
        if (error_) return outcome<T>::of(error_);
        if constexpr (requires { inner_.promise(); }) { // a task<T>: its result is there as a value already
            auto& p = inner_.promise();
            if (p.error) return outcome<T>::of(std::exchange(p.error, nullptr));
            return take();
        } else {
            if (inner_.was_cancelled()) return outcome<T>(cancelled_outcome{inner_.task().note_cancelled(), partial()});
            if constexpr (requires { inner_.op().take_outcome(); }) {
                if (!inner_.failed_to_begin()) return inner_.op().take_outcome();
            }
            try {
                return take();
            } catch (...) {
                return outcome<T>::of(std::current_exception());
            }
        }
    }

private:
    [[nodiscard]] std::size_t partial() noexcept {
        if constexpr (requires { inner_.op().partial(); })
            return inner_.op().partial();
        else
            return 0;
    }
    outcome<T> take() {
        if constexpr (std::is_void_v<T>) {
            inner_.await_resume();
            return outcome<T>(std::monostate{});
        } else {
            return outcome<T>(inner_.await_resume());
        }
    }
    Awaiter inner_;
    std::exception_ptr error_;
};

template <class A> // an object type, or an lvalue reference
class result_awaitable {
public:
    using value = owned_await_t<A>;
    explicit result_awaitable(A&& a) : awaited_(std::forward<A>(a)) {}
    // Const: a temporary that must be named first (trap T1) is refused by `await_transform`, with its sentence.
    [[nodiscard]] outcome_awaiter<awaiter_of<A>, value> make_awaiter(promise_base& p) const {
        return outcome_awaiter<awaiter_of<A>, value>(static_cast<A&&>(const_cast<std::remove_reference_t<A>&>(awaited_)), p);
    }

private:
    A awaited_;
};

} // namespace detail

template <class A>
    requires awaitable<A>
auto as_result(A&& a) -> detail::as_result_t<A> {
    if constexpr (std::is_lvalue_reference_v<A>)
        return detail::result_awaitable<A>(a);
    else
        return detail::result_awaitable<std::remove_cvref_t<A>>(detail::move_out(a));
}

} // namespace eddy
