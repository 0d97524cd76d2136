#include "byte_range.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

#include <eddy/http/headers.hpp>

namespace eddy::http::detail {
namespace {

[[nodiscard]] std::optional<std::uint64_t> number(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

} // namespace

std::optional<byte_range> parse_range(std::string_view text, std::uint64_t size) noexcept {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !equal_names(text.substr(0, equals), "bytes")) return std::nullopt;
    text = trim(text.substr(equals + 1));
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const std::optional<std::uint64_t> first = number(text.substr(0, dash));
    const std::optional<std::uint64_t> last = number(text.substr(dash + 1));
    if (dash == 0) {
        if (!last) return std::nullopt;
        const std::uint64_t count = std::min(*last, size);
        return byte_range{size - count, count};
    }
    if (!first || (!last && dash + 1 != text.size()) || (last && *last < *first)) return std::nullopt;
    if (*first >= size) return byte_range{size, 0};
    return byte_range{*first, last ? std::min(*last - *first, size - 1 - *first) + 1 : size - *first};
}

} // namespace eddy::http::detail
