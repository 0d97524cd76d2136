// The header that says which part of a file an answer has.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace eddy::http::detail {

/// A Content-Range (RFC 9110 14.4): "bytes 5-9/10", "bytes 5-9/*", "bytes */10".
class content_range {
public:
    content_range() = default;
    /// Nothing if it is malformed or cannot be: first <= last < total.
    [[nodiscard]] static std::optional<content_range> parse(std::string_view text) noexcept;
    std::optional<std::uint64_t> first; // none: "*", there is no such part
    std::optional<std::uint64_t> last;  // where `first` is
    std::optional<std::uint64_t> total; // none: "*", unknown
};

} // namespace eddy::http::detail
