#include "content_range.hpp"

#include <cstddef>

#include <eddy/http/headers.hpp>

#include "decimal.hpp"

namespace eddy::http::detail {

std::optional<content_range> content_range::parse(std::string_view text) noexcept {
    const std::size_t blank = text.find(' ');
    const std::size_t slash = text.find('/');
    if (blank == std::string_view::npos || slash == std::string_view::npos || slash < blank) return std::nullopt;
    if (!equal_names(text.substr(0, blank), "bytes")) return std::nullopt;
    const std::string_view part = text.substr(blank + 1, slash - blank - 1);
    const std::string_view size = text.substr(slash + 1);
    content_range r;
    r.total = parse_decimal(size);
    if (part == "*") return r.total ? std::optional(r) : std::nullopt;
    if (!r.total && size != "*") return std::nullopt;
    const std::size_t dash = part.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    r.first = parse_decimal(part.substr(0, dash));
    r.last = parse_decimal(part.substr(dash + 1));
    if (!r.first || !r.last || *r.last < *r.first || (r.total && *r.total <= *r.last)) return std::nullopt;
    return r;
}

} // namespace eddy::http::detail
