// How JSON arguments become the parameters of a C++ function, and its result becomes JSON.
//
// `[2, 3]` and `{}` call `f(int, int)`. A parameter may be anything nlohmann-json can make of JSON: numbers, strings, containers, `json`
// itself, own types with a `from_json`. `std::optional<T>` takes null, and may be missing at the end. Keyword arguments need
// names, which C++ does not have: `task_options::parameters`. A function of `jobs::arguments` gets all of them as they came. A first
// parameter `jobs::context&` is the job, and a first parameter `std::stop_token` the job's, as `offload` and `process_pool` have it: neither
// is an argument.
// Nothing is converted that would lose something: 2.5 is no int, 300 no std::uint8_t, "3" no number; the error names the
// argument, what was expected and what came.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/jobs/context.hpp>
#include <eddy/jobs/error.hpp>
#include <eddy/jobs/json.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs {

/// All that a job was called with, for functions that take what comes: `w.add("log", [](jobs::arguments a) { … })`.
struct arguments {
    json positional = json::array();
    json named = json::object();
};

namespace detail {

template <class F>
struct signature_of : signature_of<decltype(&F::operator())> {};
template <class R, class... A>
struct signature_of<R (*)(A...)> {
    using result = R;
    using parameters = std::tuple<A...>;
};
template <class R, class... A>
struct signature_of<R (*)(A...) noexcept> : signature_of<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature_of<R (C::*)(A...)> : signature_of<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature_of<R (C::*)(A...) const> : signature_of<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature_of<R (C::*)(A...) noexcept> : signature_of<R (*)(A...)> {};
template <class R, class C, class... A>
struct signature_of<R (C::*)(A...) const noexcept> : signature_of<R (*)(A...)> {};

template <class F>
concept has_signature = requires { typename signature_of<F>::result; };

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;
template <class T, std::size_t n>
inline constexpr bool is_tuple<std::array<T, n>> = true;
template <class T>
concept map_like = requires { typename T::mapped_type; };
template <class T>
concept list_like = requires(T t) { t.push_back(std::declval<typename T::value_type>()); };
template <class T>
concept set_like = requires(T t) {
    typename T::key_type;
    t.insert(std::declval<typename T::value_type>());
};
template <class T>
concept text_view = std::same_as<T, std::string_view> || std::same_as<T, const char*>;

/// "a string \"3\"", shortened: for messages.
[[nodiscard]] std::string describe(const json& v);
[[noreturn]] void throw_mismatch(std::string_view where, std::string_view expected, const json& got);

[[nodiscard]] std::string element(std::string_view where, std::size_t i);
[[nodiscard]] std::string element(std::string_view where, std::string_view key);

template <class T>
[[nodiscard]] T map_as(const json& v, std::string_view where);
template <class T, std::size_t... I>
[[nodiscard]] T tuple_as(const json& v, std::string_view where, std::index_sequence<I...>);

// Not called from_json: nlohmann-json 3.11 has functions of that name where they are found for an argument of its own.
template <class T>
[[nodiscard]] T json_as(const json& v, std::string_view where) {
    static_assert(!text_view<T>, "jobs: a view of a text that is gone; take a std::string");
    if constexpr (std::same_as<T, json>) {
        return v;
    } else if constexpr (is_optional<T>) {
        if (v.is_null()) return T();
        return T(json_as<typename T::value_type>(v, where));
    } else if constexpr (std::same_as<T, bool>) {
        if (!v.is_boolean()) throw_mismatch(where, "true or false", v);
        return v.get<bool>();
    } else if constexpr (std::is_integral_v<T>) {
        if (!v.is_number_integer()) throw_mismatch(where, "an integer", v);
        const bool fits = v.is_number_unsigned() ? std::in_range<T>(v.get<std::uint64_t>()) : std::in_range<T>(v.get<std::int64_t>());
        if (!fits)
            throw_mismatch(where, "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " + std::to_string(std::numeric_limits<T>::max()), v);
        return v.get<T>();
    } else if constexpr (std::is_floating_point_v<T>) {
        if (!v.is_number()) throw_mismatch(where, "a number", v);
        return v.get<T>();
    } else if constexpr (std::same_as<T, std::string>) {
        if (!v.is_string()) throw_mismatch(where, "a string", v);
        return v.get<std::string>();
    } else if constexpr (map_like<T>) {
        return map_as<T>(v, where);
    } else if constexpr (list_like<T> || set_like<T>) {
        if (!v.is_array()) throw_mismatch(where, "a list", v);
        T all;
        for (std::size_t i = 0; i < v.size(); ++i) {
            auto one = json_as<typename T::value_type>(v[i], element(where, i));
            if constexpr (list_like<T>)
                all.push_back(std::move(one));
            else
                all.insert(std::move(one));
        }
        return all;
    } else if constexpr (is_tuple<T>) {
        return tuple_as<T>(v, where, std::make_index_sequence<std::tuple_size_v<T>>());
    } else {
        try {
            return v.get<T>();
        } catch (const json::exception& e) {
            throw_mismatch(where, std::string("something else (") + e.what() + ")", v);
        }
    }
}

/// An object, or, for keys that are not made of texts, a list of pairs, as nlohmann-json writes them.
template <class T>
T map_as(const json& v, std::string_view where) {
    T all;
    if constexpr (std::is_constructible_v<typename T::key_type, std::string>) {
        if (!v.is_object()) throw_mismatch(where, "an object", v);
        for (const auto& [key, value] : v.items()) all.emplace(typename T::key_type(key), json_as<typename T::mapped_type>(value, element(where, key)));
    } else {
        if (!v.is_array()) throw_mismatch(where, "a list of pairs", v);
        for (std::size_t i = 0; i < v.size(); ++i) all.insert(json_as<std::pair<typename T::key_type, typename T::mapped_type>>(v[i], element(where, i)));
    }
    return all;
}
/// A list of so many.
template <class T, std::size_t... I>
T tuple_as(const json& v, std::string_view where, std::index_sequence<I...>) {
    if (!v.is_array() || v.size() != sizeof...(I)) throw_mismatch(where, "a list of " + std::to_string(sizeof...(I)), v);
    return T{json_as<std::tuple_element_t<I, T>>(v[I], element(where, I))...};
}

/// Puts positional and named arguments into one list, in the order of the parameters. `required` of them must be there.
[[nodiscard]] json arrange(std::string_view task, arguments a, std::span<const std::string> names, std::size_t required, std::size_t all);
[[nodiscard]] std::string argument_name(std::string_view task, std::span<const std::string> names, std::size_t index);

template <class T>
[[nodiscard]] json to_json(T&& v) {
    return json(std::forward<T>(v));
}

/// What holds an argument until its function returns: of a view, the text.
template <class P>
using held_argument = std::conditional_t<text_view<std::remove_cvref_t<P>>, std::string, std::remove_cvref_t<P>>;
/// From there to the parameter.
template <class P>
decltype(auto) pass_argument(held_argument<P>& held) {
    if constexpr (std::same_as<std::remove_cvref_t<P>, const char*>)
        return held.c_str();
    else
        return std::move(held);
}

/// The parameters of F, of which the first may be a context or a stop token.
template <class F>
class binding {
    using all = typename signature_of<F>::parameters;
    template <class... P>
    static auto first(std::type_identity<std::tuple<P...>>) {
        if constexpr (sizeof...(P) == 0)
            return std::type_identity<void>();
        else
            return std::type_identity<std::tuple_element_t<0, std::tuple<P...>>>();
    }
    using first_parameter = typename decltype(first(std::type_identity<all>()))::type;
    template <bool skip, class... P>
    static auto rest(std::type_identity<std::tuple<P...>>) {
        if constexpr (skip)
            return []<class Q, class... R>(std::type_identity<std::tuple<Q, R...>>) { return std::type_identity<std::tuple<R...>>(); }(std::type_identity<std::tuple<P...>>());
        else
            return std::type_identity<std::tuple<P...>>();
    }
    template <class... P>
    static auto held(std::type_identity<std::tuple<P...>>) {
        return std::type_identity<std::tuple<held_argument<P>...>>();
    }
    template <class... P>
    static constexpr std::size_t count_required(std::type_identity<std::tuple<P...>>) {
        std::size_t n = 0, i = 0;
        ((++i, n = is_optional<P> ? n : i), ...);
        return n;
    }

public:
    using result = typename signature_of<F>::result;
    static constexpr bool with_context = std::same_as<first_parameter, context&>;
    static constexpr bool with_stop_token = std::same_as<std::remove_cvref_t<first_parameter>, std::stop_token>;
    using arguments_of_f = decltype(rest<with_context || with_stop_token>(std::type_identity<all>())); // as it declares them
    using values = typename decltype(held(arguments_of_f()))::type;
    static constexpr std::size_t count = std::tuple_size_v<values>;
    static constexpr std::size_t required = count_required(std::type_identity<values>());
    static constexpr bool takes_all = std::same_as<values, std::tuple<arguments>>;

    [[nodiscard]] static values bind(std::string_view task, arguments a, std::span<const std::string> names) {
        if constexpr (takes_all) {
            return values(std::move(a));
        } else {
            const json given = arrange(task, std::move(a), names, required, count);
            return bind_each(task, given, names, std::make_index_sequence<count>());
        }
    }
    static decltype(auto) call(F& f, context& c, values& v) { return call_with(f, c, v, arguments_of_f(), std::make_index_sequence<count>()); }

private:
    template <class... P, std::size_t... I>
    static decltype(auto) call_with(F& f, [[maybe_unused]] context& c, [[maybe_unused]] values& v, std::type_identity<std::tuple<P...>>, std::index_sequence<I...>) {
        if constexpr (with_context)
            return f(c, pass_argument<P>(std::get<I>(v))...);
        else if constexpr (with_stop_token)
            return f(c.stop_token(), pass_argument<P>(std::get<I>(v))...);
        else
            return f(pass_argument<P>(std::get<I>(v))...);
    }
    template <std::size_t... I>
    static values bind_each([[maybe_unused]] std::string_view task, [[maybe_unused]] const json& given, [[maybe_unused]] std::span<const std::string> names, std::index_sequence<I...>) {
        // Braces: the first argument that does not fit is the one that is reported.
        return values{one<I>(task, given, names)...};
    }
    template <std::size_t I>
    static auto one(std::string_view task, const json& given, std::span<const std::string> names) {
        using type = std::tuple_element_t<I, values>;
        if constexpr (is_optional<type>) {
            if (I >= given.size()) return type();
        }
        return json_as<type>(given[I], argument_name(task, names, I));
    }
};

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

/// A registered function.
class handler {
public:
    handler() noexcept = default;
    handler(const handler&) = delete;
    handler& operator=(const handler&) = delete;
    virtual ~handler() = default;
    /// On the loop; for coroutines awaits it. Throws what the function throws, and `bad_arguments`.
    [[nodiscard]] virtual task<json> run(std::shared_ptr<context> c, arguments a) = 0;
    /// On a worker thread; not for coroutines.
    [[nodiscard]] virtual json call(context& c, arguments a) = 0;
    [[nodiscard]] virtual bool is_coroutine() const noexcept = 0;
};

/// Awaits what a coroutine function returned, keeping its arguments. Not a member of the handler: the function's type may be one
/// that has no linkage.
template <class R>
task<json> await_json(task<R> running, std::shared_ptr<void> keep) {
    static_cast<void>(keep);
    if constexpr (std::is_void_v<R>) {
        co_await std::move(running);
        co_return json();
    } else {
        co_return to_json(co_await std::move(running));
    }
}
[[nodiscard]] task<json> run_plain(handler& h, std::shared_ptr<context> c, arguments a);

template <class F>
class typed_handler final : public handler {
    using bound = binding<F>;
    static constexpr bool coroutine = is_task<typename bound::result>;

public:
    template <class G>
    explicit typed_handler(std::string task, std::vector<std::string> names, G&& f) : task_(std::move(task)), names_(std::move(names)), f_(std::forward<G>(f)) {}

    task<json> run(std::shared_ptr<context> c, arguments a) override {
        if constexpr (coroutine) {
            struct kept {
                std::shared_ptr<context> job;
                typename bound::values values;
            };
            auto keep = std::make_shared<kept>(kept{c, bound::bind(task_, std::move(a), names_)});
            return await_json(bound::call(f_, *c, keep->values), keep);
        } else {
            return run_plain(*this, std::move(c), std::move(a));
        }
    }
    json call(context& c, arguments a) override {
        if constexpr (coroutine) {
            throw error(task_ + " is a coroutine and cannot be called on a thread");
        } else {
            typename bound::values v = bound::bind(task_, std::move(a), names_);
            if constexpr (std::is_void_v<typename bound::result>) {
                bound::call(f_, c, v);
                return json();
            } else {
                return to_json(bound::call(f_, c, v));
            }
        }
    }
    [[nodiscard]] bool is_coroutine() const noexcept override { return coroutine; }

private:
    std::string task_;
    std::vector<std::string> names_;
    F f_;
};

} // namespace detail

} // namespace eddy::jobs
