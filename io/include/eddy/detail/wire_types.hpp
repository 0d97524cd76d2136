// The types that <eddy/wire.hpp> knows.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <tuple>
#include <variant>

#include <eddy/wire.hpp>

namespace eddy::wire::detail {

template <class T>
concept has_codec = requires(writer& out, reader& in, const T& v) {
    codec<T>::write(out, v);
    { codec<T>::read(in) } -> std::same_as<T>;
};
template <class T>
concept has_fields = requires(T& v) { wire_fields(v); };

template <class T, template <class...> class Of>
inline constexpr bool is_a = false;
template <class... A, template <class...> class Of>
inline constexpr bool is_a<Of<A...>, Of> = true;
template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_span = false;
template <class T, std::size_t N>
inline constexpr bool is_span<std::span<T, N>> = true;

template <class T>
inline constexpr bool is_string = is_a<T, std::basic_string>;
template <class T>
inline constexpr bool is_view = is_a<T, std::basic_string_view> || is_span<T>;
template <class T>
concept path_like = !is_string<T> && requires(const T& p) {
    typename T::string_type;
    { p.native() } -> std::convertible_to<std::string>;
};
template <class T>
concept container = !path_like<T> && requires(T& c, const T& v, typename T::value_type e) {
    v.begin() != v.end();
    v.size();
    c.insert(c.end(), std::move(e));
};
/// Copied as it lies in memory.
template <class T>
inline constexpr bool plain = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_member_pointer_v<T> &&
                              !std::is_null_pointer_v<T> && !std::is_array_v<T> && !std::is_same_v<T, bool> && !has_codec<T> && !has_fields<T> &&
                              !is_view<T> && !is_array<T> && !is_a<T, std::optional> && !is_a<T, std::variant> && !is_a<T, std::pair> &&
                              !is_a<T, std::tuple> && !is_a<T, std::reference_wrapper> && !std::is_same_v<T, std::error_code> && !std::is_const_v<T>;
template <class T>
concept plain_sequence = requires(T& c, const typename T::value_type* p) {
    c.data();
    c.resize(std::size_t(1));
} && plain<typename T::value_type>;

/// What is read before it goes into the container: the key of a map is const there.
template <class V>
struct read_as {
    using type = V;
};
template <class K, class V>
struct read_as<std::pair<const K, V>> {
    using type = std::pair<K, V>;
};

template <class T>
inline constexpr bool never = false;

void write_error_code(writer& out, const std::error_code& code);
[[nodiscard]] std::error_code read_error_code(reader& in);
[[noreturn]] void refuse(const char* what, std::size_t found);

template <class T>
void write_each(writer& out, const T& values) {
    for (const auto& v : values) {
        if constexpr (is_a<T, std::vector> && std::is_same_v<typename T::value_type, bool>)
            out.write(static_cast<bool>(v));
        else
            out.write(v);
    }
}

template <class Tuple>
void write_tuple(writer& out, const Tuple& values) {
    if constexpr (std::tuple_size_v<Tuple> == 0)
        out.write(std::uint8_t{0}); // so that each takes a byte at least
    else
        std::apply([&](const auto&... v) { (out.write(v), ...); }, values);
}

template <class T>
T read_container(reader& in) {
    const reader::level deeper(in);
    T out;
    std::size_t n = in.count();
    if constexpr (plain_sequence<T>) {
        using element = typename T::value_type;
        if (n > in.left() / sizeof(element)) refuse("elements of a container", n);
        const std::span<const std::byte> all = in.bytes(n * sizeof(element));
        out.resize(n);
        if (n > 0) std::memcpy(out.data(), all.data(), all.size());
    } else {
        for (; n > 0; --n) out.insert(out.end(), in.read<typename read_as<typename T::value_type>::type>());
    }
    return out;
}

template <class T, std::size_t... I>
T read_pair(reader& in, std::index_sequence<I...>) {
    return T{in.read<std::tuple_element_t<I, T>>()...}; // braces: from left to right
}

template <class T, std::size_t I = 0>
T read_variant(reader& in, std::size_t index) {
    if constexpr (I < std::variant_size_v<T>) {
        if (index == I) return T(std::in_place_index<I>, in.read<std::variant_alternative_t<I, T>>());
        return read_variant<T, I + 1>(in, index);
    } else {
        refuse("the alternative of a variant", index);
    }
}

template <class T>
void write_any(writer& out, const T& v) {
    static_assert(!std::is_pointer_v<T>, "wire: a pointer means nothing in another process; send what it points to");
    if constexpr (has_codec<T>) {
        codec<T>::write(out, v);
    } else if constexpr (has_fields<T>) {
        write_tuple(out, wire_fields(const_cast<T&>(v))); // only read
    } else if constexpr (std::is_same_v<T, bool>) {
        out.write(static_cast<std::uint8_t>(v));
    } else if constexpr (std::is_same_v<T, std::monostate>) {
        out.write(std::uint8_t{0});
    } else if constexpr (is_view<T>) {
        out.count(v.size());
        if constexpr (plain<std::remove_cv_t<typename T::value_type>>)
            out.bytes(std::as_bytes(std::span(v.data(), v.size())));
        else
            write_each(out, v);
    } else if constexpr (path_like<T>) {
        out.write(v.native());
    } else if constexpr (std::is_same_v<T, std::error_code>) {
        write_error_code(out, v);
    } else if constexpr (is_a<T, std::optional> || is_a<T, std::unique_ptr>) {
        out.write(static_cast<bool>(v));
        if (v) out.write(*v);
    } else if constexpr (is_a<T, std::variant>) {
        if (v.valueless_by_exception()) throw std::invalid_argument("wire: a variant without a value cannot be sent");
        out.write(static_cast<std::uint32_t>(v.index()));
        std::visit([&](const auto& alternative) { out.write(alternative); }, v);
    } else if constexpr (is_array<T>) {
        write_each(out, v);
    } else if constexpr (is_a<T, std::pair> || is_a<T, std::tuple>) {
        write_tuple(out, v);
    } else if constexpr (container<T>) {
        out.count(v.size());
        if constexpr (plain_sequence<T>)
            out.bytes(std::as_bytes(std::span(v.data(), v.size())));
        else
            write_each(out, v);
    } else if constexpr (plain<T>) {
        out.bytes(std::as_bytes(std::span(&v, 1)));
    } else {
        static_assert(never<T>, "wire: this type cannot be sent; write `auto wire_fields(T& v) { return std::tie(v.a, v.b); }` beside it, "
                                "or specialise eddy::wire::codec");
    }
}

template <class T>
T read_plain(reader& in) {
    std::array<std::byte, sizeof(T)> raw;
    const std::span<const std::byte> from = in.bytes(sizeof(T));
    std::memcpy(raw.data(), from.data(), sizeof(T));
    return __builtin_bit_cast(T, raw);
}

inline void read_nothing(reader& in) {
    if (const auto b = in.read<std::uint8_t>(); b != 0) refuse("a value without content", b);
}

template <class T>
T read_fields(reader& in) {
    const reader::level deeper(in);
    T v{};
    auto fields = wire_fields(v);
    if constexpr (std::tuple_size_v<decltype(fields)> == 0)
        read_nothing(in);
    else
        std::apply([&](auto&... field) { ((field = in.read<std::remove_cvref_t<decltype(field)>>()), ...); }, fields);
    return v;
}

inline bool read_bool(reader& in) {
    const auto b = in.read<std::uint8_t>();
    if (b > 1) refuse("a bool", b);
    return b == 1;
}

template <class T>
T read_any(reader& in) {
    static_assert(!std::is_pointer_v<T>, "wire: a pointer means nothing in another process; send what it points to");
    static_assert(!is_view<T>, "wire: a view cannot be read, for nobody would own what it shows; read a string or a vector");
    if constexpr (has_codec<T>) {
        const reader::level deeper(in);
        return codec<T>::read(in);
    } else if constexpr (has_fields<T>) {
        return read_fields<T>(in);
    } else if constexpr (std::is_same_v<T, bool>) {
        return read_bool(in);
    } else if constexpr (std::is_same_v<T, std::monostate>) {
        read_nothing(in);
        return {};
    } else if constexpr (path_like<T>) {
        return T(in.read<typename T::string_type>());
    } else if constexpr (std::is_same_v<T, std::error_code>) {
        return read_error_code(in);
    } else if constexpr (is_a<T, std::optional>) {
        if (!read_bool(in)) return std::nullopt;
        return T(in.read<typename T::value_type>());
    } else if constexpr (is_a<T, std::unique_ptr>) {
        const reader::level deeper(in);
        if (!read_bool(in)) return nullptr;
        return std::make_unique<typename T::element_type>(in.read<typename T::element_type>());
    } else if constexpr (is_a<T, std::variant>) {
        const reader::level deeper(in);
        return read_variant<T>(in, in.read<std::uint32_t>());
    } else if constexpr (is_array<T> || is_a<T, std::pair> || is_a<T, std::tuple>) {
        if constexpr (std::tuple_size_v<T> == 0) {
            if constexpr (!is_array<T>) read_nothing(in);
            return T{};
        } else {
            return read_pair<T>(in, std::make_index_sequence<std::tuple_size_v<T>>());
        }
    } else if constexpr (container<T>) {
        return read_container<T>(in);
    } else {
        static_assert(plain<T>, "wire: this type cannot be read; write `auto wire_fields(T& v) { return std::tie(v.a, v.b); }` beside it, "
                                "or specialise eddy::wire::codec");
        return read_plain<T>(in);
    }
}

} // namespace eddy::wire::detail

namespace eddy::wire {

template <class T>
void writer::write(const T& value) {
    detail::write_any<T>(*this, value);
}
template <class T>
T reader::read() {
    return detail::read_any<std::remove_const_t<T>>(*this);
}

} // namespace eddy::wire
