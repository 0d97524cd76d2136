// tls_context: who we are, whom we trust, and what is spoken; shared by many connections.
//
//     tls_context tc = tls_context::client();                            // trusts the system's authorities
//     tls_context own = tls_context::client(tls_trust::nobody);
//     own.trust_file("/etc/ours/ca.pem");                                // and nobody else
//     tls_context ts = tls_context::server("server.pem", "server.key");
//
// TLS 1.2 and 1.3. Certificate and host name are checked unless `insecure_verify_none` says otherwise.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace eddy {

namespace detail {
class tls_context_core;
}

enum class tls_trust { system, nobody };
enum class tls_version { tls_1_2, tls_1_3 };

/// A handle: copies are the same context. Set it up first; from the first connection on, only use it. Connections keep it
/// alive, and may use it on the loops of any thread. Files are read here and now, which is for the start of a program.
///
/// Every function throws `tls_error` (`tls_errc::configuration`), or `std::system_error` for a file that cannot be read;
/// both name the file. Keys that need a pass phrase are refused.
class tls_context {
public:
    /// For those who connect. `tls_trust::system`: OpenSSL's default authorities, for which the environment may name others
    /// (SSL_CERT_FILE, SSL_CERT_DIR).
    [[nodiscard]] static tls_context client(tls_trust trust = tls_trust::system);
    /// For those who accept. PEM files; the certificate is followed by those between it and the authority, if any.
    [[nodiscard]] static tls_context server(const std::string& certificate_file, const std::string& key_file);
    /// The same from text.
    [[nodiscard]] static tls_context server_pem(std::string_view certificate, std::string_view key);

    /// Trusts these certificates too: authorities, or the very certificate of a peer.
    tls_context& trust_file(const std::string& file);
    tls_context& trust_pem(std::string_view certificates);
    /// What we show: a client only if it is asked.
    tls_context& certificate_file(const std::string& certificate_file, const std::string& key_file);
    tls_context& certificate_pem(std::string_view certificate, std::string_view key);

    /// Server: only clients with a certificate that one of these authorities has signed (mutual TLS). In TLS 1.3 a client
    /// learns that it is refused when it reads: its handshake is over by then.
    tls_context& require_client_certificate(const std::string& authorities_file);
    tls_context& require_client_certificate_pem(std::string_view authorities);
    /// Accepts any certificate for any name: encrypted, but with whom nobody knows. For tests.
    tls_context& insecure_verify_none();

    /// What is spoken inside (RFC 7301), the most wanted first: {"h2", "http/1.1"}. A client offers it; a server picks the first
    /// of its own that the client offers, and refuses one that offers only others.
    tls_context& alpn(const std::vector<std::string>& protocols);
    /// Default: 1.2.
    tls_context& minimum_version(tls_version v);
    /// Server: clients that ask for `host` (SNI, RFC 6066) get the certificate, the ALPN protocols and the demand for client
    /// certificates of `other`, a server context without names of its own; all others, those of this one. Case does not matter. No wildcards.
    tls_context& for_name(std::string_view host, const tls_context& other);
    /// Client: keep sessions, by host and port, so that a later connection needs no certificate (default). A server gives
    /// tickets; its keys live as long as the context.
    tls_context& resume_sessions(bool on);

    tls_context(const tls_context&) noexcept = default; // and no move: there is no empty context
    tls_context& operator=(const tls_context&) noexcept = default;
    ~tls_context() = default;
    explicit tls_context(std::shared_ptr<detail::tls_context_core> core) noexcept; // for the library
    [[nodiscard]] const std::shared_ptr<detail::tls_context_core>& core() const noexcept { return core_; }

private:
    std::shared_ptr<detail::tls_context_core> core_;
};

} // namespace eddy
