// What the HTTP client throws.
//
//     try { co_await hc.get(url); }
//     catch (const http::error& e) { if (e.kind() == http::error_kind::timeout) … }
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace eddy::http {

/// Why a request failed. An answer with an error status (404, 500) is a response, not a failure.
enum class error_kind {
    bad_url = 1,        // not a valid http:// or https:// URL, or a redirect to something else
    resolve,            // the host name could not be resolved
    connect,            // no connection: refused, unreachable, no descriptor left
    tls,                // the handshake failed, or the certificate is not trusted
    timeout,            // the time for the request or for its connection was over
    disconnected,       // the connection broke while we sent or before an answer came
    truncated,          // it ended in the middle of the body
    too_large,          // body or header exceed the limit
    too_many_redirects, // more than the limit, or a loop
    protocol,           // the answer is not HTTP as we know it
    encoding,           // the compressed body is broken
    bad_status,         // a download was answered with an error status
    proxy,              // a proxy does not let us through: its answer to CONNECT, or a refusal of SOCKS
    other               // see the message
};

/// The category of `error_kind`; equivalent to `std::errc` values where there is one (timed_out).
[[nodiscard]] const std::error_category& category() noexcept;
[[nodiscard]] std::error_code make_error_code(error_kind k) noexcept;

/// A request without a complete answer. `what()` names method, URL (without its password) and reason.
class error : public std::system_error {
public:
    /// `detail` explains; `os_error`: the errno behind it, 0 if there is none; `status`: see there.
    error(error_kind kind, std::string_view method, std::string_view url, std::string_view detail, int os_error = 0, int status = 0);

    [[nodiscard]] const char* what() const noexcept override { return texts_->what.c_str(); }
    [[nodiscard]] error_kind kind() const noexcept { return static_cast<error_kind>(code().value()); }
    /// The URL that was asked for; after redirects, the one that failed.
    [[nodiscard]] const std::string& url() const noexcept { return texts_->url; }
    /// What the system said: `ECONNREFUSED` and the like; an empty code if it said nothing.
    [[nodiscard]] std::error_code os_error() const noexcept { return {os_error_, std::system_category()}; }
    /// The status of the answer, for `bad_status`, and of a proxy's to CONNECT, for `proxy`; else 0.
    [[nodiscard]] int status() const noexcept { return status_; }

private:
    struct texts {
        std::string url;
        std::string what;
    };
    std::shared_ptr<const texts> texts_;
    int os_error_;
    int status_;
};

} // namespace eddy::http

template <>
struct std::is_error_code_enum<eddy::http::error_kind> : std::true_type {};
