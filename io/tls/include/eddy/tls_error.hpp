// What TLS throws.
//
//     try { tls_stream s = co_await tls_connect("localhost", 443, context); }
//     catch (const tls_error& e) { if (e.code() == tls_errc::certificate) … }
#pragma once

#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

namespace eddy {

enum class tls_errc {
    certificate = 1, // the peer's certificate was not accepted, or there was none
    refused,         // the peer sent a fatal alert: it does not accept us
    protocol,        // what came is not TLS, was changed on its way, or we have nothing in common with the peer
    truncated,       // the peer went away without a close_notify
    configuration,   // a certificate, key or other setting of ours cannot be used
};

[[nodiscard]] const std::error_category& tls_category() noexcept;
[[nodiscard]] std::error_code make_error_code(tls_errc e) noexcept;

/// TLS failed. `what()` names the peer and the reason: "TLS handshake with localhost:443: certificate verify failed:
/// self-signed certificate".
class tls_error : public std::system_error {
public:
    tls_error(tls_errc kind, const std::string& text) : std::system_error(make_error_code(kind)), text_(text) {}
    [[nodiscard]] const char* what() const noexcept override { return text_.what(); }

private:
    std::runtime_error text_; // the words, without those of the error code; copied without throwing
};

/// The connection ended without a close_notify: the peer failed, or somebody cut it off (RFC 8446 6.1). What had come was
/// read before. Never mistake it for the end of the data.
class truncated : public tls_error {
public:
    explicit truncated(const std::string& text) : tls_error(tls_errc::truncated, text) {}
};

} // namespace eddy

template <>
struct std::is_error_code_enum<eddy::tls_errc> : std::true_type {};
