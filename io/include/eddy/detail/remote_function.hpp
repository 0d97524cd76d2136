// What EDDY_REMOTE knows about a function: how its arguments are read from bytes, and its result written.
#pragma once

#include <cstdint>
#include <source_location>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/wire.hpp>

namespace eddy::detail {

/// One function that was registered. They form a list, which is complete before `main`.
struct remote_function {
    using call = void (*)(wire::reader& arguments, wire::writer& result, const std::stop_token& stop);
    const char* name;    // as written in EDDY_REMOTE
    std::uint64_t id;    // the same in every process of this program
    void (*address)();   // differs from process to process
    bool takes_stop;
    call invoke;
    const remote_function* next = nullptr;
};
void add_remote(remote_function& f) noexcept;
/// Throws `std::logic_error` that says what to write.
[[nodiscard]] const remote_function& remote_at(void (*address)());
/// Null if there is none.
[[nodiscard]] const remote_function* remote_of(std::uint64_t id);

/// Called by a constructor of the executable. In a fork server it does not return; see io/src/process_server.cpp.
using program_constructor = void (*)(int, char**, char**);
void enter_fork_server(program_constructor self, int argc, char** argv, char** envp);

/// What holds an argument or a result between the bytes and the call.
template <class T>
struct sent {
    using type = T;
};
template <class C, class Traits>
struct sent<std::basic_string_view<C, Traits>> {
    using type = std::basic_string<C, Traits>;
};
template <class T>
struct sent<std::span<const T>> {
    using type = std::vector<T>;
};
template <>
struct sent<const char*> {
    using type = std::string;
};
template <class P>
using sent_t = typename sent<std::remove_cvref_t<P>>::type;

template <class R>
struct remote_result {
    using type = sent_t<R>;
};
template <>
struct remote_result<void> {
    using type = void;
};

template <class... P>
struct parameter_list {};
template <class F>
struct remote_traits;
template <class R, class... P>
struct remote_traits<R(P...)> {
    using result = typename remote_result<R>::type;
    using parameters = parameter_list<P...>;
    static constexpr bool takes_stop = false;
};
template <class R, class... P>
struct remote_traits<R(std::stop_token, P...)> : remote_traits<R(P...)> {
    static constexpr bool takes_stop = true;
};
template <class R, class... P>
struct remote_traits<R(P...) noexcept> : remote_traits<R(P...)> {};

template <class F>
using remote_result_t = typename remote_traits<F>::result;

/// From where it is held to the parameter.
template <class P>
decltype(auto) as_parameter(sent_t<P>& held) {
    static_assert(!std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>,
                  "process_pool: a function in another process cannot change the caller's variable; return what changes");
    if constexpr (std::is_same_v<std::remove_cvref_t<P>, const char*>)
        return held.c_str();
    else if constexpr (std::is_lvalue_reference_v<P>)
        return std::as_const(held);
    else if constexpr (std::is_same_v<std::remove_cvref_t<P>, sent_t<P>>)
        return std::move(held);
    else
        return std::remove_cvref_t<P>(held); // a view
}

template <class P, class A>
void write_argument(wire::writer& out, A&& a) {
    using held = sent_t<P>;
    static_assert(std::is_convertible_v<A, std::remove_cvref_t<P>> || std::is_convertible_v<A, held>,
                  "process_pool: an argument does not fit the function's parameter");
    if constexpr (std::is_same_v<std::remove_cvref_t<A>, held>)
        out.write<held>(a);
    else if constexpr (std::is_convertible_v<A, std::string_view> && std::is_same_v<held, std::string>)
        out.write(static_cast<std::string_view>(a));
    else
        out.write<held>(static_cast<held>(std::forward<A>(a)));
}
template <class... P, class... A>
void write_arguments(wire::writer& out, parameter_list<P...>, A&&... a) {
    static_assert(sizeof...(P) == sizeof...(A), "process_pool: the function takes another number of arguments");
    (write_argument<P>(out, std::forward<A>(a)), ...);
}

template <auto F, class... P>
void invoke_remote(wire::reader& in, wire::writer& out, const std::stop_token& stop, parameter_list<P...>) {
    using traits = remote_traits<std::remove_pointer_t<decltype(F)>>;
    std::tuple<sent_t<P>...> arguments{in.read<sent_t<P>>()...}; // braces: from left to right
    const auto call = [&](sent_t<P>&... held) -> decltype(auto) {
        if constexpr (traits::takes_stop)
            return F(stop, as_parameter<P>(held)...);
        else
            return F(as_parameter<P>(held)...);
    };
    if constexpr (std::is_void_v<typename traits::result>) {
        std::apply(call, arguments);
    } else {
        const typename traits::result value(std::apply(call, arguments));
        out.write(value);
    }
}

/// FNV-1a.
[[nodiscard]] constexpr std::uint64_t hash_text(std::string_view text, std::uint64_t h = 14695981039346656037u) noexcept {
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return h;
}
/// Of a type or function, the same in each translation unit and process.
template <class T>
[[nodiscard]] constexpr std::uint64_t hash_of_type() noexcept {
    return hash_text(__PRETTY_FUNCTION__);
}
template <auto F>
[[nodiscard]] constexpr std::uint64_t hash_of_function() noexcept {
    return hash_text(__PRETTY_FUNCTION__);
}

/// The object that EDDY_REMOTE defines.
template <auto F>
class remote_registration {
    using function = std::remove_pointer_t<decltype(F)>;

public:
    explicit remote_registration(const char* name, std::source_location where = std::source_location::current()) noexcept
        : function_{name, id_at(where), reinterpret_cast<void (*)()>(F), remote_traits<function>::takes_stop, &invoke} {
        add_remote(function_);
    }
    remote_registration(const remote_registration&) = delete;
    remote_registration& operator=(const remote_registration&) = delete;
    ~remote_registration() = default;

private:
    // The place is part of it: static functions of two files may have the same name.
    static std::uint64_t id_at(const std::source_location& where) noexcept {
        return hash_text(where.file_name(), hash_of_function<F>()) + where.line();
    }
    static void invoke(wire::reader& in, wire::writer& out, const std::stop_token& stop) {
        invoke_remote<F>(in, out, stop, typename remote_traits<function>::parameters());
    }
    remote_function function_;
};

} // namespace eddy::detail
