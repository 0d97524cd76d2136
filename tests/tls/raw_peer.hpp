// The other end of a connection, by OpenSSL alone: it can do what our own streams never do.
#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "tls/support.hpp"

namespace tls_tests {

class raw_peer {
public:
    enum class role { client, server };
    raw_peer(testing::memory_stream s, role r, int max_version = TLS1_3_VERSION) : stream(std::move(s)) {
        context_.reset(SSL_CTX_new(r == role::server ? TLS_server_method() : TLS_client_method()));
        SSL_CTX_set_max_proto_version(context_.get(), max_version);
        SSL_CTX_set_security_level(context_.get(), 0);
        if (r == role::server) show(localhost());
        ssl.reset(SSL_new(context_.get()));
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        BIO_set_mem_eof_return(in_, -1);
        SSL_set_bio(ssl.get(), in_, out_);
        if (r == role::server)
            SSL_set_accept_state(ssl.get());
        else
            SSL_set_connect_state(ssl.get());
    }

    /// What was made and not sent yet; takes it.
    [[nodiscard]] std::string output() {
        std::string bytes(BIO_ctrl_pending(out_), '\0');
        if (!bytes.empty()) BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
        return bytes;
    }
    task<> flush() {
        const std::string bytes = output();
        if (!bytes.empty()) co_await stream.write(bytes);
    }
    /// False at the end of the stream.
    task<bool> fetch() {
        std::array<std::byte, 4096> part{};
        const std::span<std::byte> room(part);
        const std::size_t n = co_await stream.read_some(room);
        BIO_write(in_, part.data(), static_cast<int>(n));
        co_return n > 0;
    }
    /// `keep`: what the last step made is left for `output`.
    task<> handshake(bool keep = false) {
        for (;;) {
            const int result = SSL_do_handshake(ssl.get());
            if (result == 1 && keep) co_return;
            co_await flush();
            if (result == 1) co_return;
            if (SSL_get_error(ssl.get(), result) != SSL_ERROR_WANT_READ) throw std::runtime_error("raw_peer: no handshake");
            const bool more = co_await fetch();
            if (!more) throw std::runtime_error("raw_peer: no handshake, but the end");
        }
    }
    void encrypt(std::string_view text) {
        if (SSL_write(ssl.get(), text.data(), static_cast<int>(text.size())) <= 0) throw std::runtime_error("raw_peer: no write");
    }
    task<> send(std::string text) {
        encrypt(text);
        co_await flush();
    }
    /// At least a byte; "<end>" after a close_notify, "<cut>" without one, "<alert>" after a fatal one.
    task<std::string> receive() {
        for (;;) {
            std::string text(4096, '\0');
            const int n = SSL_read(ssl.get(), text.data(), static_cast<int>(text.size()));
            if (n > 0) co_return text.substr(0, static_cast<std::size_t>(n));
            const int error = SSL_get_error(ssl.get(), n);
            ERR_clear_error();
            if (error == SSL_ERROR_ZERO_RETURN) co_return "<end>";
            if (error != SSL_ERROR_WANT_READ) co_return "<alert>";
            const bool more = co_await fetch();
            if (!more) co_return "<cut>";
        }
    }
    void show(const identity& i) {
        const std::unique_ptr<BIO, decltype(&BIO_free_all)> c(BIO_new_mem_buf(i.certificate.data(), -1), &BIO_free_all);
        const std::unique_ptr<BIO, decltype(&BIO_free_all)> k(BIO_new_mem_buf(i.key.data(), -1), &BIO_free_all);
        X509* const certificate = PEM_read_bio_X509(c.get(), nullptr, nullptr, nullptr);
        EVP_PKEY* const key = PEM_read_bio_PrivateKey(k.get(), nullptr, nullptr, nullptr);
        SSL_CTX_use_certificate(context_.get(), certificate);
        SSL_CTX_use_PrivateKey(context_.get(), key);
        X509_free(certificate);
        EVP_PKEY_free(key);
    }

private:
    struct freed {
        void operator()(SSL_CTX* c) const noexcept { SSL_CTX_free(c); }
        void operator()(SSL* s) const noexcept { SSL_free(s); }
    };
    std::unique_ptr<SSL_CTX, freed> context_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;

public:
    testing::memory_stream stream;
    std::unique_ptr<SSL, freed> ssl;
};

} // namespace tls_tests
