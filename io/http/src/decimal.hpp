// Numbers in header fields.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace eddy::http::detail {

/// Nothing but digits, and a number that fits; else nothing.
[[nodiscard]] inline std::optional<std::uint64_t> parse_decimal(std::string_view digits) noexcept {
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return n;
}

} // namespace eddy::http::detail
