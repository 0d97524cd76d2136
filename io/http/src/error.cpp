#include <eddy/http/error.hpp>

#include "escape.hpp"

namespace eddy::http {
namespace {

class http_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "http"; }
    [[nodiscard]] std::string message(int value) const override;
    [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<error_kind>(value)) {
            case error_kind::timeout: return std::errc::timed_out;
            case error_kind::disconnected: return std::errc::connection_reset;
            case error_kind::protocol: return std::errc::protocol_error;
            default: return {value, *this};
        }
    }
};

std::string http_category::message(int value) const {
    switch (static_cast<error_kind>(value)) {
        case error_kind::bad_url: return "bad URL";
        case error_kind::resolve: return "host name not resolved";
        case error_kind::connect: return "no connection";
        case error_kind::tls: return "TLS failed";
        case error_kind::timeout: return "timed out";
        case error_kind::disconnected: return "disconnected";
        case error_kind::truncated: return "response truncated";
        case error_kind::too_large: return "response too large";
        case error_kind::too_many_redirects: return "too many redirects";
        case error_kind::protocol: return "invalid response";
        case error_kind::encoding: return "broken content encoding";
        case error_kind::bad_status: return "unexpected status";
        case error_kind::proxy: return "refused by the proxy";
        case error_kind::other: break;
    }
    return "transfer failed";
}

/// Without the password that a URL may hold: messages end up in logs.
[[nodiscard]] std::string without_password(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
    const std::string_view authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
    const std::size_t at = authority.rfind('@');
    const std::size_t colon = authority.find(':');
    std::string text(url);
    if (at != std::string_view::npos && colon < at) text.replace(begin + colon + 1, at - colon - 1, "***");
    return text;
}

[[nodiscard]] std::string describe(error_kind kind, std::string_view method, std::string_view url, std::string_view reason,
                                   int os_error) {
    std::string text(method);
    text.append(" ").append(detail::escaped(without_password(url))).append(" failed: ").append(make_error_code(kind).message());
    if (!reason.empty()) text.append(": ").append(detail::escaped(reason)); // it may quote the server
    if (os_error != 0) text.append(" (").append(std::system_category().message(os_error)).append(")");
    return text;
}

} // namespace

const std::error_category& category() noexcept {
    static const http_category instance;
    return instance;
}

std::error_code make_error_code(error_kind k) noexcept {
    return {static_cast<int>(k), category()};
}

error::error(error_kind kind, std::string_view method, std::string_view url, std::string_view detail, int os_error, int status)
    : std::system_error(make_error_code(kind)),
      texts_(std::make_shared<const texts>(texts{std::string(url), describe(kind, method, url, detail, os_error)})),
      os_error_(os_error),
      status_(status) {}

} // namespace eddy::http
