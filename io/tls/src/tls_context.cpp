#include <eddy/tls_context.hpp>

#include <openssl/pem.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "tls_context_core.hpp"

namespace eddy {
namespace detail {
namespace {

constexpr std::size_t most_hosts = 1024;        // whose sessions are kept
constexpr std::size_t most_sessions_a_host = 4; // a TLS 1.3 server sends two, and each serves once

/// A key that has a pass phrase is refused: OpenSSL would ask for it on the terminal.
int no_pass_phrase(char*, int, int, void*) {
    return -1;
}

std::string read_whole(const std::string& file) {
    struct closer {
        void operator()(std::FILE* f) const noexcept { std::fclose(f); }
    };
    const std::unique_ptr<std::FILE, closer> in(std::fopen(file.c_str(), "re"));
    if (!in) throw std::system_error(errno, std::generic_category(), "TLS: cannot read " + file);
    std::string text;
    char part[4096];
    while (const std::size_t n = std::fread(part, 1, sizeof part, in.get())) text.append(part, n);
    if (std::ferror(in.get()) != 0) throw std::system_error(errno, std::generic_category(), "TLS: cannot read " + file);
    return text;
}

bio_ptr reader_of(std::string_view text) {
    if (text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) throw std::invalid_argument("TLS: a PEM text of over 2 GiB");
    bio_ptr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    if (!bio) throw std::bad_alloc();
    return bio;
}

/// All certificates of a PEM text, at least one.
std::vector<x509_ptr> certificates_in(std::string_view pem, const std::string& source) {
    ERR_clear_error();
    const bio_ptr in = reader_of(pem);
    std::vector<x509_ptr> all;
    while (x509_ptr one{PEM_read_bio_X509(in.get(), nullptr, &no_pass_phrase, nullptr)}) all.push_back(std::move(one));
    const unsigned long end = ERR_peek_last_error();
    const bool whole = ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE;
    if (!whole) throw_configuration("TLS: a certificate in " + source + " cannot be read");
    ERR_clear_error();
    if (all.empty()) throw tls_error(tls_errc::configuration, "TLS: there is no certificate in " + source);
    return all;
}

void use_certificate(SSL_CTX* context, std::string_view certificate, const std::string& certificate_source, std::string_view key,
                     const std::string& key_source) {
    const std::vector<x509_ptr> chain = certificates_in(certificate, certificate_source);
    const bio_ptr in = reader_of(key);
    const key_ptr private_key(PEM_read_bio_PrivateKey(in.get(), nullptr, &no_pass_phrase, nullptr));
    if (!private_key) throw_configuration("TLS: there is no private key without a pass phrase in " + key_source);
    if (X509_check_private_key(chain.front().get(), private_key.get()) != 1)
        throw_configuration("TLS: the key in " + key_source + " does not belong to the certificate in " + certificate_source);
    if (SSL_CTX_use_certificate(context, chain.front().get()) != 1 || SSL_CTX_use_PrivateKey(context, private_key.get()) != 1)
        throw_configuration("TLS: the certificate in " + certificate_source + " cannot be used");
    SSL_CTX_clear_chain_certs(context);
    for (std::size_t i = 1; i < chain.size(); ++i) {
        if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1)
            throw_configuration("TLS: a certificate in " + certificate_source + " cannot be used");
    }
}

void trust(SSL_CTX* context, const std::vector<x509_ptr>& certificates, const std::string& source) {
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN); // each is trusted, whoever has signed it
    for (const x509_ptr& c : certificates) {
        if (X509_STORE_add_cert(store, c.get()) != 1) throw_configuration("TLS: a certificate in " + source + " cannot be trusted");
    }
}

void require_certificate(SSL_CTX* context, std::string_view pem, const std::string& source) {
    const std::vector<x509_ptr> authorities = certificates_in(pem, source);
    trust(context, authorities, source);
    for (const x509_ptr& c : authorities) {
        if (SSL_CTX_add_client_CA(context, c.get()) != 1) throw_configuration("TLS: a certificate in " + source + " cannot be used");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
}

// --- what OpenSSL calls; nothing may be thrown into it

tls_context_core& core_of(SSL_CTX* context) {
    return *static_cast<tls_context_core*>(SSL_CTX_get_app_data(context));
}

/// A server's choice by name. At the ClientHello, before sessions are looked at: a ticket that was given under a name that
/// asks for no client certificate must not open one that does, and a session holds for the context it was made in.
int choose_context(SSL* ssl, int* alert, void* argument) {
    try {
        const unsigned char* data = nullptr;
        std::size_t size = 0;
        if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return SSL_CLIENT_HELLO_SUCCESS;
        const std::string name = server_name_in({reinterpret_cast<const char*>(data), size});
        const tls_context_core* const other = static_cast<tls_context_core*>(argument)->find(name);
        if (!other) return SSL_CLIENT_HELLO_SUCCESS;
        if (SSL_set_SSL_CTX(ssl, other->get()) != nullptr) { // the certificate; what else differs is the connection's already
            SSL_set_verify(ssl, SSL_CTX_get_verify_mode(other->get()), nullptr);
            SSL_set_min_proto_version(ssl, static_cast<int>(SSL_CTX_get_min_proto_version(other->get())));
            return SSL_CLIENT_HELLO_SUCCESS;
        }
    } catch (...) { // no memory
    }
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

/// Says that we know the name, which the choice above has used.
int accept_name(SSL*, int*, void*) {
    return SSL_TLSEXT_ERR_OK;
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered, unsigned int offered_size,
                    void* argument) {
    const std::string& ours = static_cast<tls_context_core*>(argument)->protocols;
    unsigned char* chosen = nullptr;
    const int found = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
                                            static_cast<unsigned int>(ours.size()), offered, offered_size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// A client got a session. Its connection says with whom.
int keep_session(SSL* ssl, SSL_SESSION* session) {
    const auto* const peer = static_cast<const std::string*>(SSL_get_app_data(ssl));
    if (!peer) return 0;
    try {
        core_of(SSL_get_SSL_CTX(ssl)).keep_session(*peer, ssl_session_ptr(session));
    } catch (...) { // no memory: it is as if none had come
    }
    return 1; // the reference is ours, and may be gone already
}

} // namespace

tls_context_core::tls_context_core(role r) : context_(SSL_CTX_new(r == role::server ? TLS_server_method() : TLS_client_method())), role_(r) {
    SSL_CTX* const c = context_.get();
    if (!c) throw_configuration("TLS: OpenSSL cannot be used");
    SSL_CTX_set_app_data(c, this);
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (r == role::client) {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c, &detail::keep_session);
        return;
    }
    SSL_CTX_set_dh_auto(c, 1);
    SSL_CTX_set_client_hello_cb(c, &choose_context, this);
    SSL_CTX_set_tlsext_servername_callback(c, &accept_name);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); // the sessions are in the tickets
    static std::atomic<unsigned> contexts{0};
    const unsigned id = ++contexts; // a session is good for the context it was made in
    SSL_CTX_set_session_id_context(c, reinterpret_cast<const unsigned char*>(&id), sizeof id);
}

const tls_context_core* tls_context_core::find(std::string_view host) const {
    const auto found = names.find(small_letters(host));
    return found == names.end() ? nullptr : found->second.get();
}

void tls_context_core::keep_session(const std::string& peer, ssl_session_ptr session) {
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= most_hosts && !sessions_.contains(peer)) sessions_.erase(sessions_.begin());
    std::deque<ssl_session_ptr>& known = sessions_[peer];
    known.push_back(std::move(session));
    if (known.size() > most_sessions_a_host) known.pop_front();
}

// The newest. One of TLS 1.3 serves once, so that nobody can tell by it that two connections are ours (RFC 8446 C.4).
ssl_session_ptr tls_context_core::take_session(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(peer);
    if (found == sessions_.end()) return nullptr;
    std::deque<ssl_session_ptr>& known = found->second;
    ssl_session_ptr session;
    while (!known.empty() && !session) {
        session = std::move(known.back());
        known.pop_back();
        if (SSL_SESSION_is_resumable(session.get()) != 1) session.reset();
    }
    if (session && SSL_SESSION_get_protocol_version(session.get()) < TLS1_3_VERSION) {
        SSL_SESSION_up_ref(session.get());
        known.emplace_back(session.get());
    }
    if (known.empty()) sessions_.erase(found);
    return session;
}

std::string small_letters(std::string_view text) {
    std::string small(text);
    for (char& c : small) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return small;
}

// ServerNameList: two bytes of length, then entries of a type (0: a host name), two bytes of length and the name.
std::string server_name_in(std::string_view extension) {
    const auto number_at = [&](std::size_t i) {
        return static_cast<std::size_t>(static_cast<unsigned char>(extension[i])) << 8 | static_cast<unsigned char>(extension[i + 1]);
    };
    if (extension.size() < 5 || number_at(0) + 2 != extension.size() || extension[2] != 0) return {};
    const std::size_t length = number_at(3);
    if (length + 5 > extension.size()) return {};
    return small_letters(extension.substr(5, length));
}

} // namespace detail

using detail::tls_context_core;

tls_context::tls_context(std::shared_ptr<tls_context_core> core) noexcept : core_(std::move(core)) {}

tls_context tls_context::client(tls_trust trust) {
    tls_context c(std::make_shared<tls_context_core>(tls_context_core::role::client));
    ERR_clear_error();
    if (trust == tls_trust::system && SSL_CTX_set_default_verify_paths(c.core_->get()) != 1)
        detail::throw_configuration("TLS: the system's authorities cannot be used");
    ERR_clear_error(); // there may be none, which a connection will say
    return c;
}

tls_context tls_context::server(const std::string& certificate_file, const std::string& key_file) {
    tls_context c(std::make_shared<tls_context_core>(tls_context_core::role::server));
    c.certificate_file(certificate_file, key_file);
    return c;
}

tls_context tls_context::server_pem(std::string_view certificate, std::string_view key) {
    tls_context c(std::make_shared<tls_context_core>(tls_context_core::role::server));
    c.certificate_pem(certificate, key);
    return c;
}

tls_context& tls_context::certificate_file(const std::string& certificate_file, const std::string& key_file) {
    const std::string certificate = detail::read_whole(certificate_file);
    const std::string key = detail::read_whole(key_file);
    detail::use_certificate(core_->get(), certificate, certificate_file, key, key_file);
    return *this;
}

tls_context& tls_context::certificate_pem(std::string_view certificate, std::string_view key) {
    detail::use_certificate(core_->get(), certificate, "the certificate text", key, "the key text");
    return *this;
}

tls_context& tls_context::trust_file(const std::string& file) {
    detail::trust(core_->get(), detail::certificates_in(detail::read_whole(file), file), file);
    return *this;
}

tls_context& tls_context::trust_pem(std::string_view certificates) {
    detail::trust(core_->get(), detail::certificates_in(certificates, "the text"), "the text");
    return *this;
}

tls_context& tls_context::require_client_certificate(const std::string& authorities_file) {
    if (!core_->is_server()) throw std::invalid_argument("TLS: require_client_certificate is for servers");
    detail::require_certificate(core_->get(), detail::read_whole(authorities_file), authorities_file);
    return *this;
}

tls_context& tls_context::require_client_certificate_pem(std::string_view authorities) {
    if (!core_->is_server()) throw std::invalid_argument("TLS: require_client_certificate is for servers");
    detail::require_certificate(core_->get(), authorities, "the text");
    return *this;
}

tls_context& tls_context::insecure_verify_none() {
    SSL_CTX_set_verify(core_->get(), SSL_VERIFY_NONE, nullptr);
    return *this;
}

tls_context& tls_context::alpn(const std::vector<std::string>& protocols) {
    std::string wire;
    for (const std::string& p : protocols) {
        if (p.empty() || p.size() > 255) throw std::invalid_argument("TLS: an ALPN protocol has 1 to 255 bytes, not " + std::to_string(p.size()));
        wire += static_cast<char>(p.size());
        wire += p;
    }
    if (wire.size() > 65535) throw std::invalid_argument("TLS: too many ALPN protocols");
    core_->protocols = std::move(wire);
    if (core_->is_server())
        SSL_CTX_set_alpn_select_cb(core_->get(), core_->protocols.empty() ? nullptr : &detail::choose_protocol, core_.get());
    else if (SSL_CTX_set_alpn_protos(core_->get(), reinterpret_cast<const unsigned char*>(core_->protocols.data()),
                                     static_cast<unsigned int>(core_->protocols.size())) != 0)
        detail::throw_configuration("TLS: the ALPN protocols cannot be used");
    return *this;
}

tls_context& tls_context::minimum_version(tls_version v) {
    SSL_CTX_set_min_proto_version(core_->get(), v == tls_version::tls_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    return *this;
}

tls_context& tls_context::for_name(std::string_view host, const tls_context& other) {
    if (!core_->is_server() || !other.core_->is_server()) throw std::invalid_argument("TLS: for_name is for servers");
    if (other.core_ == core_) throw std::invalid_argument("TLS: for_name needs another context");
    if (!other.core_->names.empty()) throw std::invalid_argument("TLS: a context that has names of its own cannot be the one for another name");
    core_->names[detail::small_letters(detail::plain_host(host))] = other.core_;
    return *this;
}

tls_context& tls_context::resume_sessions(bool on) {
    core_->resumes = on;
    return *this;
}

} // namespace eddy
