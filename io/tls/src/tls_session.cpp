#include <eddy/detail/tls_session.hpp>

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tls_context_core.hpp"

namespace eddy::detail {
namespace {

/// More than any write makes at a time.
constexpr std::size_t most_output = 128 * 1024;

int size_for_openssl(std::size_t n) {
    return static_cast<int>(std::min(n, static_cast<std::size_t>(std::numeric_limits<int>::max())));
}

} // namespace

struct tls_session::state {
    std::shared_ptr<tls_context_core> context;
    ssl_ptr ssl;
    BIO* in = nullptr;  // both are the SSL's
    BIO* out = nullptr;
    std::string peer;
    std::string session_key;
    std::vector<std::byte> output;
    bool shaken = false;
    std::exception_ptr failure; // OpenSSL does not say it twice

    state(const tls_context& c, std::string p) : context(c.core()), ssl(SSL_new(context->get())), peer(std::move(p)) {
        bio_ptr incoming(BIO_new(BIO_s_mem()));
        bio_ptr outgoing(BIO_new(BIO_s_mem()));
        if (!ssl || !incoming || !outgoing) {
            ERR_clear_error();
            throw std::bad_alloc();
        }
        BIO_set_mem_eof_return(incoming.get(), -1); // empty is not the end
        in = incoming.release();
        out = outgoing.release();
        SSL_set_bio(ssl.get(), in, out);
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    // OpenSSL takes a connection without close_notify for a broken one, whose session is not to be resumed. Since TLS 1.1
    // that is no reason.
    ~state() {
        if (shaken && !failure) SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }

    [[nodiscard]] step judge(int result, const char* doing);
    [[noreturn]] void fail(const char* doing);
    void check() const {
        if (failure) std::rethrow_exception(failure);
        ERR_clear_error();
    }

private:
    [[noreturn]] void throw_error(const char* doing) const;
};

tls_session::step tls_session::state::judge(int result, const char* doing) {
    if (result > 0) return step::done;
    switch (SSL_get_error(ssl.get(), result)) {
        case SSL_ERROR_WANT_READ: return step::wants_input;
        case SSL_ERROR_ZERO_RETURN: return step::ended;
        default: fail(doing);
    }
}

void tls_session::state::fail(const char* doing) {
    try {
        throw_error(doing);
    } catch (...) {
        failure = std::current_exception();
        throw;
    }
}

// "TLS handshake with localhost:443: certificate verify failed: self-signed certificate"
void tls_session::state::throw_error(const char* doing) const {
    const unsigned long error = take_error(ERR_LIB_SSL); // the others may be of authorities that were looked for
    const int reason = ERR_GET_REASON(error);
    if (reason == ERR_R_MALLOC_FAILURE) throw std::bad_alloc();
    const std::string text = std::string("TLS ") + doing + " " + peer + ": ";
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
            throw tls_error(tls_errc::certificate, text + "certificate verify failed: " + X509_verify_cert_error_string(SSL_get_verify_result(ssl.get())));
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) throw tls_error(tls_errc::certificate, text + "the client has shown no certificate");
        if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
            throw tls_error(tls_errc::refused, text + "the peer refused: " + SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    }
    throw tls_error(tls_errc::protocol, text + reason_of(error));
}

tls_session::tls_session(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
tls_session::tls_session(tls_session&&) noexcept = default;
tls_session::~tls_session() = default;

tls_session tls_session::client(const tls_context& context, const std::string& host, std::string peer) {
    if (context.core()->is_server()) throw std::invalid_argument("TLS: a server's context cannot be used to connect to " + peer);
    const std::string name = plain_host(host);
    auto s = std::make_unique<state>(context, std::move(peer));
    SSL* const ssl = s->ssl.get();
    ERR_clear_error();
    SSL_set_connect_state(ssl);
    bool set = true;
    if (is_address(name)) { // no SNI: RFC 6066 3
        set = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        set = SSL_set1_host(ssl, name.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
    }
    if (!set) throw_configuration("TLS: \"" + name + "\" cannot be a host's name");
    if (s->context->resumes) {
        s->session_key = s->peer + '\n' + name; // that its certificate was checked for
        SSL_set_app_data(ssl, &s->session_key);
        if (const ssl_session_ptr earlier = s->context->take_session(s->session_key)) SSL_set_session(ssl, earlier.get());
        ERR_clear_error();
    }
    return tls_session(std::move(s));
}

tls_session tls_session::server(const tls_context& context, std::string peer) {
    if (!context.core()->is_server()) throw std::invalid_argument("TLS: a client's context cannot be used to accept " + peer);
    auto s = std::make_unique<state>(context, std::move(peer));
    SSL_set_accept_state(s->ssl.get());
    return tls_session(std::move(s));
}

tls_session::step tls_session::handshake() {
    state_->check();
    const step r = state_->judge(SSL_do_handshake(state_->ssl.get()), "handshake with");
    if (r == step::ended) throw_truncated();
    ERR_clear_error(); // of authorities that were looked for in vain
    state_->shaken = r == step::done;
    return r;
}

tls_session::step tls_session::read(std::span<std::byte> out, std::size_t& n) {
    state_->check();
    const int result = SSL_read(state_->ssl.get(), out.data(), size_for_openssl(out.size()));
    n = static_cast<std::size_t>(std::max(result, 0));
    return state_->judge(result, "read from");
}

tls_session::step tls_session::write(std::span<const std::byte> bytes) {
    state_->check();
    return state_->judge(SSL_write(state_->ssl.get(), bytes.data(), size_for_openssl(bytes.size())), "write to");
}

tls_session::step tls_session::close_notify() noexcept {
    if (!state_->shaken || state_->failure) return step::done;
    ERR_clear_error();
    const bool told = SSL_shutdown(state_->ssl.get()) >= 0;
    return told || ERR_GET_REASON(take_error()) != SSL_R_SHUTDOWN_WHILE_IN_INIT ? step::done : step::wants_input;
}

void tls_session::require_sound() const {
    if (state_->failure) std::rethrow_exception(state_->failure);
}

void tls_session::limit_output() {
    if (BIO_ctrl_pending(state_->out) <= most_output) return;
    state_->failure = std::make_exception_ptr(
        tls_error(tls_errc::protocol, "TLS read from " + state_->peer + ": the peer asks for answers and does not take them"));
    std::rethrow_exception(state_->failure);
}

bool tls_session::has_output() const noexcept {
    return BIO_ctrl_pending(state_->out) > 0;
}

std::span<const std::byte> tls_session::take_output() {
    state_->output.resize(BIO_ctrl_pending(state_->out));
    const int n = BIO_read(state_->out, state_->output.data(), size_for_openssl(state_->output.size()));
    return std::span<const std::byte>(state_->output).first(static_cast<std::size_t>(std::max(n, 0)));
}

void tls_session::received(std::string_view bytes) {
    while (!bytes.empty()) {
        const int n = BIO_write(state_->in, bytes.data(), size_for_openssl(bytes.size()));
        if (n <= 0) {
            ERR_clear_error();
            state_->failure = std::make_exception_ptr(std::bad_alloc()); // what is missing from now on is not the peer's fault
            throw std::bad_alloc();
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

void tls_session::throw_truncated() const {
    if (!state_->shaken) throw truncated("TLS handshake with " + state_->peer + ": the peer closed the connection before it was over");
    throw truncated("TLS read from " + state_->peer + ": the connection ended without a close_notify; what came may be cut off");
}

bool tls_session::is_server() const noexcept {
    return state_->context->is_server();
}

const std::string& tls_session::peer() const noexcept {
    return state_->peer;
}

std::string tls_session::alpn_protocol() const {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
    return size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(name), size);
}

namespace {

/// "CN=localhost,O=Example" (RFC 2253).
std::string subject_of(X509* certificate) {
    const bio_ptr text(BIO_new(BIO_s_mem()));
    if (!text) throw std::bad_alloc();
    X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB));
    char* begin = nullptr;
    const long size = BIO_get_mem_data(text.get(), &begin);
    return size <= 0 ? std::string() : std::string(begin, static_cast<std::size_t>(size));
}

} // namespace

tls_session_info tls_session::info() const {
    SSL* const ssl = state_->ssl.get();
    tls_session_info i;
    i.version = SSL_get_version(ssl);
    i.cipher = SSL_get_cipher_name(ssl);
    i.alpn = alpn_protocol();
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) i.server_name = name;
    if (const x509_ptr certificate{SSL_get1_peer_certificate(ssl)}) i.peer_subject = subject_of(certificate.get());
    i.resumed = SSL_session_reused(ssl) == 1;
    ERR_clear_error();
    return i;
}

} // namespace eddy::detail
