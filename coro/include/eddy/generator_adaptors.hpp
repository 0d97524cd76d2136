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

/// The T of an async_generator<T> that is given away.
template <class Source>
struct source_value {};
template <class T>
struct source_value<async_generator<T>> {
    using type = T;
};
template <class Source>
using source_value_t = typename source_value<std::remove_cv_t<Source>>::type;

/// What a function makes of an argument, awaited if it is to be.
template <class R>
struct settled {
    using type = R;
};
template <class R>
struct settled<R&&> {
    using type = std::remove_cv_t<R>;
};
template <awaitable_in_task R>
struct settled<R> {
    using type = owned_await_t<R>;
};
template <class F, class T>
using settled_t = typename settled<std::invoke_result_t<std::decay_t<F>&, T>>::type;
template <class F, class T>
using transformed_t = std::remove_cvref_t<settled_t<F, T>>;

} // namespace detail

/// An `async_generator` that is given away, as a temporary or with `std::move`.
template <class Source>
concept generator_source = !std::is_reference_v<Source> && requires { typename detail::source_value_t<Source>; };
/// A function of a look at each value.
template <class F, class Source>
concept looks_at = std::invocable<std::decay_t<F>&, const detail::source_value_t<Source>&>;

/// `fn(value)` for each value; values are moved into it.
template <generator_source Source, class F>
    requires std::invocable<std::decay_t<F>&, detail::source_value_t<Source>>
auto transform(Source&& source, F&& fn)
    -> detail::hazard_t<async_generator<detail::transformed_t<F, detail::source_value_t<Source>>>, Source, F>;

/// The values for which `keep(value)` is true; it gets a `const T&` (or the `T&` of an `async_generator<T&>`).
template <generator_source Source, looks_at<Source> F>
auto filter(Source&& source, F&& keep) -> detail::hazard_t<async_generator<detail::source_value_t<Source>>, Source, F>;

/// The values up to the first for which `keep(value)` is false; that one is dropped.
template <generator_source Source, looks_at<Source> F>
auto take_while(Source&& source, F&& keep) -> detail::hazard_t<async_generator<detail::source_value_t<Source>>, Source, F>;

/// The first `n` values. The source is closed before the last of them is given (of an `async_generator<T&>`: when one more is
/// asked for); what that throws comes after the value.
template <generator_source Source>
auto take(Source&& source, std::size_t n) -> detail::hazard_t<async_generator<detail::source_value_t<Source>>, Source>;

/// Awaitable: all values that are left, in a vector (those of an `async_generator<T&>` copied). Cancelled, or if the source
/// fails, they are lost; what the source holds is cleaned up by its own unwinding.
template <generator_source Source>
auto collect(Source&& source) -> detail::hazard_t<task<std::vector<std::remove_cvref_t<detail::source_value_t<Source>>>>, Source>;

// --- implementation

namespace detail {

/// Awaits what a function returned, if it is to be awaited.
template <class F, class A>
task<settled_t<F, A>> settle_call(F& fn, A&& argument) {
    if constexpr (awaitable_in_task<std::invoke_result_t<F&, A>>)
        co_return co_await std::invoke(fn, std::forward<A>(argument));
    else
        co_return std::invoke(fn, std::forward<A>(argument));
}

/// Throws what an adaptor ended with: `why`, unless that only asked for the end; of two failures the second is reported.
void end_adaptor(const std::exception_ptr& why, const std::exception_ptr& of_close);

/// An adaptor is over: so is its source. What ended it goes on.
template <class T>
task<> end_source(async_generator<T>& source, std::exception_ptr why, std::exception_ptr of_close = nullptr) {
    try {
        co_await source.close();
    } catch (...) {
        of_close = std::current_exception();
    }
    end_adaptor(why, of_close);
}

enum class verdict : std::uint8_t { give, drop, end };

/// The values that a function selects, which returns a verdict or a task of one; at most `most`.
template <class T, class Judge>
async_generator<T> selected(async_generator<T> source, Judge judge, std::size_t most = std::numeric_limits<std::size_t>::max()) {
    std::exception_ptr why;
    std::exception_ptr of_close;
    try {
        while (most > 0) {
            auto v = co_await source.next();
            if (!v) break;
            const verdict about = co_await settle_call<Judge, const T&>(judge, *v);
            if (about == verdict::end) break;
            if (about == verdict::drop) continue;
            // A reference points into the source's body, which therefore has to be there still.
            if (--most == 0 && !std::is_reference_v<T>) {
                try {
                    co_await source.close();
                } catch (const operation_cancelled&) { // belongs to a scope that is here now (R5)
                    throw;
                } catch (...) {
                    of_close = std::current_exception();
                }
            }
            if constexpr (std::is_reference_v<T>)
                co_yield *v;
            else
                co_yield handed_over<T>(*v);
        }
    } catch (...) {
        why = std::current_exception();
    }
    co_await end_source(source, why, of_close);
}

template <class T, class F>
async_generator<transformed_t<F, T>> transformed(async_generator<T> source, F fn) {
    std::exception_ptr why;
    try {
        while (auto v = co_await source.next()) {
            transformed_t<F, T> made = co_await settle_call<F, T>(fn, static_cast<T&&>(*v));
            co_yield handed_over<transformed_t<F, T>>(made);
        }
    } catch (...) {
        why = std::current_exception();
    }
    co_await end_source(source, why);
}

template <class T>
task<std::vector<std::remove_cvref_t<T>>> collected(async_generator<T> source) {
    std::vector<std::remove_cvref_t<T>> all;
    std::exception_ptr why;
    try {
        while (auto v = co_await source.next()) all.push_back(static_cast<T&&>(*v));
    } catch (...) {
        why = std::current_exception();
    }
    if (why) co_await end_source(source, why);
    co_return all;
}

/// A judge that asks a predicate, and says `otherwise` where it does not hold.
template <class T, class F>
[[nodiscard]] auto judge_by(F keep, verdict otherwise) {
    return [keep = std::move(keep), otherwise](const T& v) mutable -> task<verdict> {
        const bool kept = co_await settle_call<F, const T&>(keep, v);
        co_return kept ? verdict::give : otherwise;
    };
}

} // namespace detail

template <generator_source Source, class F>
    requires std::invocable<std::decay_t<F>&, detail::source_value_t<Source>>
auto transform(Source&& source, F&& fn)
    -> detail::hazard_t<async_generator<detail::transformed_t<F, detail::source_value_t<Source>>>, Source, F> {
    return detail::transformed<detail::source_value_t<Source>, std::decay_t<F>>(detail::move_out(source), std::forward<F>(fn));
}
template <generator_source Source, looks_at<Source> F>
auto filter(Source&& source, F&& keep) -> detail::hazard_t<async_generator<detail::source_value_t<Source>>, Source, F> {
    using value = detail::source_value_t<Source>;
    return detail::selected<value>(detail::move_out(source), detail::judge_by<value, std::decay_t<F>>(std::forward<F>(keep), detail::verdict::drop));
}
template <generator_source Source, looks_at<Source> F>
auto take_while(Source&& source, F&& keep) -> detail::hazard_t<async_generator<detail::source_value_t<Source>>, Source, F> {
    using value = detail::source_value_t<Source>;
    return detail::selected<value>(detail::move_out(source), detail::judge_by<value, std::decay_t<F>>(std::forward<F>(keep), detail::verdict::end));
}
template <generator_source Source>
auto take(Source&& source, std::size_t n) -> detail::hazard_t<async_generator<detail::source_value_t<Source>>, Source> {
    using value = detail::source_value_t<Source>;
    return detail::selected<value>(detail::move_out(source), [](const value&) { return detail::verdict::give; }, n);
}
template <generator_source Source>
auto collect(Source&& source) -> detail::hazard_t<task<std::vector<std::remove_cvref_t<detail::source_value_t<Source>>>>, Source> {
    return detail::collected<detail::source_value_t<Source>>(detail::move_out(source));
}

} // namespace eddy
