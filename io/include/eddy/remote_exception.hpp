// remote_exception: exceptions that cross from a worker of a `process_pool` as themselves.
//
//     class bad_order : public std::runtime_error { using std::runtime_error::runtime_error; };
//     const eddy::remote_exception<bad_order> bad_order_crosses;             // at namespace scope
//
// Registered are those of <stdexcept>, std::system_error (with its code) and std::bad_alloc, and here `timeout_error`'s kin:
// `closed_resource`, `broken_resource`, `wire::malformed`. Any other exception arrives as a `remote_error`, which tells its type and text.
#pragma once

#include <concepts>
#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <typeinfo>

#include <eddy/wire.hpp>

/// With its code, if that is of the generic or the system category, else as `errc::io_error`.
template <>
struct eddy::wire::codec<std::system_error> {
    static void write(writer& out, const std::system_error& e);
    static std::system_error read(reader& in);
};
template <>
struct eddy::wire::codec<std::bad_alloc> {
    static void write(writer&, const std::bad_alloc&) {}
    static std::bad_alloc read(reader&) { return {}; }
};

namespace eddy {

/// What a worker threw, where that type is not registered: `what()` is "bad_order: no such article".
class remote_error : public std::runtime_error {
public:
    remote_error(std::string type, const std::string& message);
    /// As C++ writes it: "shop::bad_order".
    [[nodiscard]] const std::string& type_name() const noexcept { return type_; }
    /// Its `what()`; empty for what is no `std::exception`.
    [[nodiscard]] std::string_view message() const noexcept { return std::string_view(what()).substr(prefix_); }

private:
    std::string type_;
    std::size_t prefix_;
};

namespace detail {

/// How exceptions of one type are written in the worker, and thrown at the caller.
struct exception_codec {
    const std::type_info* type;
    void (*write)(wire::writer& out);             // of the exception that is being handled
    void (*raise)(wire::reader& in);              // throws
    const exception_codec* next = nullptr;
};
void add_exception(exception_codec& c) noexcept;

template <class E>
void write_exception(wire::writer& out) {
    try {
        throw;
    } catch (const E& e) {
        if constexpr (wire::detail::has_codec<E> || wire::detail::has_fields<E>)
            out.write(e);
        else
            out.write(std::string_view(e.what()));
    }
}
template <class E>
void raise_exception(wire::reader& in) {
    if constexpr (wire::detail::has_codec<E> || wire::detail::has_fields<E>) {
        throw in.read<E>();
    } else {
        static_assert(std::constructible_from<E, std::string>,
                      "remote_exception: this type is not made from a std::string; give it wire_fields, or specialise eddy::wire::codec");
        throw E(in.read<std::string>());
    }
}

} // namespace detail

/// An object of it, at namespace scope and before `main`, registers E: the exact type, not what derives from it. E is made from a
/// `std::string`, its `what()`, unless it has `wire_fields` or a `wire::codec`.
template <class E>
class remote_exception {
public:
    remote_exception() noexcept : codec_{&typeid(E), &detail::write_exception<E>, &detail::raise_exception<E>} { detail::add_exception(codec_); }
    remote_exception(const remote_exception&) = delete;
    remote_exception& operator=(const remote_exception&) = delete;
    ~remote_exception() = default;

private:
    detail::exception_codec codec_;
};

} // namespace eddy
