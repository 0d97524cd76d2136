#include <eddy/http/byte_range.hpp>

#include <algorithm>
#include <limits>

#include <eddy/http/headers.hpp>

#include "decimal.hpp"

namespace eddy::http {
namespace {

/// One that is too large for us is behind every end.
[[nodiscard]] std::optional<std::uint64_t> position(std::string_view digits) noexcept {
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    return detail::parse_decimal(digits).value_or(std::numeric_limits<std::uint64_t>::max());
}

} // namespace

std::optional<byte_range> parse_range(std::string_view text, std::uint64_t size) noexcept {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !detail::equal_names(text.substr(0, equals), "bytes")) return std::nullopt;
    text = detail::trim(text.substr(equals + 1));
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const std::optional<std::uint64_t> first = position(text.substr(0, dash));
    const std::optional<std::uint64_t> last = position(text.substr(dash + 1));
    if (dash == 0) {
        if (!last || (size == 0 && *last > 0)) return std::nullopt; // the whole of nothing has no first byte to be named
        const std::uint64_t count = std::min(*last, size);
        return byte_range{size - count, count};
    }
    if (!first || (!last && dash + 1 != text.size()) || (last && *last < *first)) return std::nullopt;
    if (*first >= size) return byte_range{size, 0};
    return byte_range{*first, last ? std::min(*last - *first, size - 1 - *first) + 1 : size - *first};
}

} // namespace eddy::http
