// What to do with the values of an async_generator, without writing the loop.
//
//     auto titles = transform(filter(pages(url), is_html), [](page p) { return title_of(p); });
//     auto first = co_await collect(take(std::move(titles), 10));        // std::vector<std::string>
//
// An adaptor is a generator of its own, as lazy as any: it asks its source for a value when it is asked for one, in the task
// that asks. It owns its source; where it ends first, because it has had enough, was closed, or its function threw, it closes
// it (`co_await source.close()`, not shielded, like `close` itself). Errors of the source pass through. A function that is
// passed may return a task, or anything else to await: it is awaited before the next value is asked for.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/async_generator.hpp>
#include <eddy/task.hpp>

namespace eddy {

namespace detail {

/// What a function makes of an argument, awaited if it is to be.
template <class R>
struct settled {
    using type = R;
};
template <awaitable_in_task R>
struct settled<R> {
    using type = owned_await_t<R>;
};
template <class F, class T>
using settled_t = typename settled<std::invoke_result_t<F&, T>>::type;
template <class F, class T>
using transformed_t = std::remove_cvref_t<settled_t<F, T>>;

} // namespace detail

/// `fn(value)` for each value; values are moved into it.
template <class T, class F>
    requires std::invocable<F&, T>
async_generator<detail::transformed_t<F, T>> transform(async_generator<T> source, F fn);

/// The values for which `keep(value)` is true; it gets a `const T&` (or the `T&` of an `async_generator<T&>`).
template <class T, class F>
    requires std::invocable<F&, const T&>
async_generator<T> filter(async_generator<T> source, F keep);

/// The values up to the first for which `keep(value)` is false; that one is dropped.
template <class T, class F>
    requires std::invocable<F&, const T&>
async_generator<T> take_while(async_generator<T> source, F keep);

/// The first `n` values. The source is closed before the last of them is given (of an `async_generator<T&>`: when one more is
/// asked for).
template <class T>
async_generator<T> take(async_generator<T> source, std::size_t n);

/// Awaitable: all values that are left, in a vector (those of an `async_generator<T&>` copied). Cancelled, or if the source
/// fails, they are lost; what the source holds is cleaned up by its own unwinding.
template <class T>
task<std::vector<std::remove_cvref_t<T>>> collect(async_generator<T> source);

// --- implementation

namespace detail {

/// A value on its way out of a variable. GCC 12 could be trusted with `std::move` here, but `co_yield` cannot tell (trap T1).
template <class T>
class handed_over {
public:
    explicit handed_over(T& v) noexcept : value_(v) {}
    operator T&&() const noexcept { return std::move(value_); } // NOLINT: a conversion is what it is for

private:
    T& value_;
};

/// Awaits what a function returned, if it is to be awaited.
template <class F, class A>
task<settled_t<F, A>> settle_call(F& fn, A&& argument) {
    if constexpr (awaitable_in_task<std::invoke_result_t<F&, A>>)
        co_return co_await std::invoke(fn, std::forward<A>(argument));
    else
        co_return std::invoke(fn, std::forward<A>(argument));
}

/// An adaptor is over: so is its source. What ended it goes on.
template <class T>
task<> end_source(async_generator<T>& source, std::exception_ptr why) {
    co_await source.close();
    if (why) std::rethrow_exception(why);
}

enum class verdict : std::uint8_t { give, drop, end };

/// The values that a function selects, which returns a verdict or a task of one; at most `most`.
template <class T, class Judge>
async_generator<T> selected(async_generator<T> source, Judge judge, std::size_t most = std::numeric_limits<std::size_t>::max()) {
    std::exception_ptr why;
    try {
        while (most > 0) {
            auto v = co_await source.next();
            if (!v) break;
            const verdict about = co_await settle_call<Judge, const T&>(judge, *v);
            if (about == verdict::end) break;
            if (about == verdict::drop) continue;
            // A reference points into the source's body, which therefore has to be there still.
            if (--most == 0 && !std::is_reference_v<T>) co_await source.close();
            if constexpr (std::is_reference_v<T>)
                co_yield *v;
            else
                co_yield handed_over<T>(*v);
        }
    } catch (...) {
        why = std::current_exception();
    }
    co_await end_source(source, why);
}

} // namespace detail

template <class T, class F>
    requires std::invocable<F&, T>
async_generator<detail::transformed_t<F, T>> transform(async_generator<T> source, F fn) {
    std::exception_ptr why;
    try {
        while (auto v = co_await source.next()) {
            detail::transformed_t<F, T> made = co_await detail::settle_call<F, T>(fn, static_cast<T&&>(*v));
            co_yield detail::handed_over<detail::transformed_t<F, T>>(made);
        }
    } catch (...) {
        why = std::current_exception();
    }
    co_await detail::end_source(source, why);
}

template <class T, class F>
    requires std::invocable<F&, const T&>
async_generator<T> filter(async_generator<T> source, F keep) {
    return detail::selected<T>(std::move(source), [keep = std::move(keep)](const T& v) mutable -> task<detail::verdict> {
        const bool kept = co_await detail::settle_call<F, const T&>(keep, v);
        co_return kept ? detail::verdict::give : detail::verdict::drop;
    });
}
template <class T, class F>
    requires std::invocable<F&, const T&>
async_generator<T> take_while(async_generator<T> source, F keep) {
    return detail::selected<T>(std::move(source), [keep = std::move(keep)](const T& v) mutable -> task<detail::verdict> {
        const bool kept = co_await detail::settle_call<F, const T&>(keep, v);
        co_return kept ? detail::verdict::give : detail::verdict::end;
    });
}
template <class T>
async_generator<T> take(async_generator<T> source, std::size_t n) {
    return detail::selected<T>(std::move(source), [](const T&) { return detail::verdict::give; }, n);
}

template <class T>
task<std::vector<std::remove_cvref_t<T>>> collect(async_generator<T> source) {
    std::vector<std::remove_cvref_t<T>> all;
    while (auto v = co_await source.next()) all.push_back(static_cast<T&&>(*v));
    co_return all;
}

} // namespace eddy
