// Numbers, as text.
#pragma once

#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace samples {

/// All of the text, in decimal; nothing if it is anything else, or does not fit.
template <class T>
[[nodiscard]] std::optional<T> to_number(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// The value of an option. Throws `std::invalid_argument`, which names the option and says what it may be.
template <class T>
[[nodiscard]] T parse_number(std::string_view option, std::string_view text, T least, T most) {
    const std::optional<T> value = to_number<T>(text);
    if (!value || *value < least || *value > most)
        throw std::invalid_argument(std::string(option) + ": '" + std::string(text) + "' is no number from " + std::to_string(least) +
                                    " to " + std::to_string(most));
    return *value;
}

} // namespace samples
