// OpenSSL's objects as owners, and its error queue as exceptions.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include <eddy/tls_error.hpp>

namespace eddy::detail {

template <auto Free>
struct freed_by {
    template <class T>
    void operator()(T* p) const noexcept {
        Free(p);
    }
};

using bio_ptr = std::unique_ptr<BIO, freed_by<&BIO_free_all>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using ssl_context_ptr = std::unique_ptr<SSL_CTX, freed_by<&SSL_CTX_free>>;
using ssl_ptr = std::unique_ptr<SSL, freed_by<&SSL_free>>;
using ssl_session_ptr = std::unique_ptr<SSL_SESSION, freed_by<&SSL_SESSION_free>>;
using x509_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;
using ip_ptr = std::unique_ptr<ASN1_OCTET_STRING, freed_by<&ASN1_OCTET_STRING_free>>;

/// The first error in the queue is the cause; if `library` is given, the first of that. Leaves the queue empty, for whoever uses
/// OpenSSL next on this thread.
[[nodiscard]] unsigned long take_error(int library = 0) noexcept;
[[nodiscard]] std::string reason_of(unsigned long error);

/// Throws what the queue says about a setting: "TLS certificate /etc/x.pem: …"; `bad_alloc` if it was that.
[[noreturn]] void throw_configuration(const std::string& what);

/// "example.org." → "example.org", "[::1]" → "::1". Throws `std::invalid_argument` for what cannot be a name.
[[nodiscard]] std::string plain_host(std::string_view host);
[[nodiscard]] bool is_address(const std::string& host) noexcept;

} // namespace eddy::detail
