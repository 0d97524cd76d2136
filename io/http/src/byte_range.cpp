#include "byte_range.hpp"

#include <algorithm>

#include <eddy/http/headers.hpp>

#include "decimal.hpp"

namespace eddy::http::detail {

std::optional<byte_range> parse_range(std::string_view text, std::uint64_t size) noexcept {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !equal_names(text.substr(0, equals), "bytes")) return std::nullopt;
    text = trim(text.substr(equals + 1));
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const std::optional<std::uint64_t> first = parse_decimal(text.substr(0, dash));
    const std::optional<std::uint64_t> last = parse_decimal(text.substr(dash + 1));
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
