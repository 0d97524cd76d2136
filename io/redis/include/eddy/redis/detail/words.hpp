// Commands in RESP: an array of strings each.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>

namespace eddy::redis::detail {

template <class T>
concept text_argument = std::convertible_to<const T&, std::string_view>;
template <class T>
concept number_argument = std::integral<T> || std::floating_point<T>;
template <class T>
concept word_argument = text_argument<T> || (number_argument<T> && !std::same_as<T, bool> && !std::same_as<T, char>);
/// What a command takes: texts, numbers, and ranges of them. No `bool` and no `char`: Redis knows neither, write what is meant.
template <class T>
concept argument = word_argument<T> || (!text_argument<T> && std::ranges::forward_range<const T> && word_argument<std::ranges::range_value_t<const T>>);

void append_array(std::string& out, std::size_t words);
void append_word(std::string& out, std::string_view word);
void append_integer(std::string& out, long long n);
void append_integer(std::string& out, unsigned long long n);
/// The shortest text that gives the number again.
void append_number(std::string& out, double d);

template <argument A>
[[nodiscard]] std::size_t words_in(const A& a) {
    if constexpr (word_argument<A>)
        return 1;
    else
        return static_cast<std::size_t>(std::ranges::distance(a));
}

template <argument A>
void append_argument(std::string& out, const A& a) {
    if constexpr (text_argument<A>)
        append_word(out, std::string_view(a));
    else if constexpr (std::signed_integral<A>)
        append_integer(out, static_cast<long long>(a));
    else if constexpr (std::unsigned_integral<A>)
        append_integer(out, static_cast<unsigned long long>(a));
    else if constexpr (std::floating_point<A>)
        append_number(out, static_cast<double>(a));
    else
        for (const auto& item : a) append_argument(out, item);
}

template <argument... A>
void append_command(std::string& out, std::string_view name, const A&... arguments) {
    append_array(out, 1 + (std::size_t{0} + ... + words_in(arguments)));
    append_word(out, name);
    (append_argument(out, arguments), ...);
}

} // namespace eddy::redis::detail
