// Responses as bytes.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include <eddy/http/message.hpp>

namespace eddy::http::detail {

/// How a response is sent, besides what it says itself.
class response_context {
public:
    bool keep_alive = true;
    bool head_request = false; // the headers of the body, without the body
    int minor_version = 1;     // of the request
    std::string_view server_name = {};
    bool chunked = false; // the body comes in chunks
    std::optional<std::uint64_t> length = {}; // of a body that is made while it is sent
};

/// Status line and headers. Framing and connection are ours: Content-Length, Transfer-Encoding and Connection of the
/// response are ignored, but for the length that the answer to a HEAD request announces.
[[nodiscard]] std::string response_head(const response& r, const response_context& c);
/// How long the body of a `stream` response will be, if it says so. Throws `std::logic_error` if what it says is no number.
[[nodiscard]] std::optional<std::uint64_t> announced_length(const response& r);
/// Does a response of that status have a body at all?
[[nodiscard]] constexpr bool may_have_body(int status) noexcept {
    return status >= 200 && status != 204 && status != 304;
}
/// "Sun, 06 Nov 1994 08:49:37 GMT"
[[nodiscard]] std::string http_date(std::time_t t);
/// "06/Nov/1994:08:49:37 +0000"
[[nodiscard]] std::string log_date(std::time_t t);
/// The small page that goes with an error status.
[[nodiscard]] response error_response(int status, std::string_view reason);

} // namespace eddy::http::detail
