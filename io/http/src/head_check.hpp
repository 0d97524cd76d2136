// What makes a request's head unacceptable, before and after it is parsed.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include <eddy/http/headers.hpp>

namespace eddy::http::detail {

/// A request that is answered with an error status; the connection ends after it.
class refusal {
public:
    refusal() = default;
    refusal(int status_code, std::string_view text) : status(status_code), reason(text) {}
    [[nodiscard]] explicit operator bool() const noexcept { return status != 0; }
    int status = 0;
    std::string_view reason; // a literal
};

// Looks for the end of a head byte by byte as they arrive, and stops at the first that no head may contain: a line feed
// without its carriage return or the other way round, NUL and other control characters. So a request that ends its lines
// with a bare line feed is refused at once, not when its time is over.
class head_scanner {
public:
    enum class result { more, complete, bad };
    /// Looks at what was appended to `input` since the last call.
    [[nodiscard]] result scan(std::string_view input) noexcept;
    /// The size of the head once it is complete: up to and with the empty line.
    [[nodiscard]] std::size_t size() const noexcept { return position_; }
    /// Has the request line ended?
    [[nodiscard]] bool in_fields() const noexcept { return lines_ > 0; }
    /// The size of the request line, as far as it was seen.
    [[nodiscard]] std::size_t request_line() const noexcept { return in_fields() ? request_line_ : position_; }
    void reset() noexcept { *this = head_scanner(); }

private:
    std::size_t position_ = 0;
    std::size_t lines_ = 0;
    std::size_t line_length_ = 0;
    std::size_t request_line_ = 0;
    bool after_return_ = false;
};

/// The shape of a complete head: request line, version, field names; folded lines are refused.
[[nodiscard]] refusal check_head(std::string_view head) noexcept;

/// Where the body ends must be beyond doubt, or two servers could see different requests in the same bytes.
[[nodiscard]] refusal check_framing(const header_list& headers, int minor_version) noexcept;

} // namespace eddy::http::detail
