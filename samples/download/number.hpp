// Numbers, as text.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace download_manager {

template <class T>
std::optional<T> to_number(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

} // namespace download_manager
