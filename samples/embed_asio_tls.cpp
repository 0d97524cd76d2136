// embed_asio_tls: tasks and Asio's TLS, asio::ssl, in a program that is written with Asio. One io_context, one thread.
//
// The program has a server, in callbacks, that answers a line with its length, encrypted. A task shakes hands with it, talks to it and
// says farewell by `use_eddy`, each under a time limit; another is refused, since it does not trust the server. (For TLS of eddy's own
// streams see <eddy/tls.hpp>.)
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <asio/ssl.hpp>
#include <eddy/asio.hpp>
#include <eddy/timeout.hpp>

namespace {

using asio::ip::tcp;
using eddy::use_eddy;
using tls_socket = asio::ssl::stream<tcp::socket>;
using namespace std::chrono_literals;

// --- a certificate that lasts as long as the program

struct identity {
    std::string certificate;
    std::string key;
};

void expect(bool holds) {
    if (!holds) throw std::runtime_error("OpenSSL cannot make a certificate");
}

template <class F>
std::string written_by(F write) {
    const std::unique_ptr<BIO, decltype(&::BIO_free)> memory(::BIO_new(::BIO_s_mem()), &::BIO_free);
    expect(memory && write(memory.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return std::string(text, static_cast<std::size_t>(size));
}

/// Signed by itself, for localhost.
identity new_identity() {
    const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(::EVP_EC_gen("P-256"), &::EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&::X509_free)> c(::X509_new(), &::X509_free);
    expect(key && c);
    const std::string_view host = "localhost";
    ::X509_set_version(c.get(), 2); // which is called 3
    ::ASN1_INTEGER_set(::X509_get_serialNumber(c.get()), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(c.get()), 0);
    ::X509_gmtime_adj(::X509_getm_notAfter(c.get()), 3600);
    X509_NAME* const name = ::X509_get_subject_name(c.get());
    const auto* const letters = reinterpret_cast<const unsigned char*>(host.data());
    expect(::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, letters, static_cast<int>(host.size()), -1, 0) == 1);
    expect(::X509_set_issuer_name(c.get(), name) == 1 && ::X509_set_pubkey(c.get(), key.get()) == 1);
    expect(::X509_sign(c.get(), key.get(), ::EVP_sha256()) > 0);
    identity made;
    made.certificate = written_by([&](BIO* out) { return ::PEM_write_bio_X509(out, c.get()); });
    made.key = written_by([&](BIO* out) { return ::PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
    return made;
}

asio::ssl::context server_context(const identity& i) {
    asio::ssl::context c(asio::ssl::context::tls_server);
    c.use_certificate_chain(asio::buffer(i.certificate));
    c.use_private_key(asio::buffer(i.key), asio::ssl::context::pem);
    return c;
}

/// Trusts `certificate` alone, or nobody.
asio::ssl::context client_context(const std::string& certificate) {
    asio::ssl::context c(asio::ssl::context::tls_client);
    if (!certificate.empty()) c.add_certificate_authority(asio::buffer(certificate));
    c.set_verify_mode(asio::ssl::verify_peer);
    c.set_verify_callback(asio::ssl::host_name_verification("localhost"));
    return c;
}

// --- what was there before: callbacks

// One connection of the server; lives as long as a handler of it is on its way.
class counting_session : public std::enable_shared_from_this<counting_session> {
public:
    counting_session(tcp::socket s, asio::ssl::context& c) : stream_(std::move(s), c) {}
    void start() {
        stream_.async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](std::error_code e) {
            if (!e) self->read();
        });
    }

private:
    void read() {
        asio::async_read_until(stream_, asio::dynamic_buffer(line_), '\n', [self = shared_from_this()](std::error_code e, std::size_t n) {
            if (!e) return self->answer(n);
            self->stream_.async_shutdown([self](std::error_code) {});
        });
    }
    void answer(std::size_t n) {
        answer_ = std::to_string(n - 1) + "\n";
        line_.erase(0, n);
        asio::async_write(stream_, asio::buffer(answer_), [self = shared_from_this()](std::error_code e, std::size_t) {
            if (!e) self->read();
        });
    }
    tls_socket stream_;
    std::string line_;
    std::string answer_;
};

void accept_next(tcp::acceptor& acceptor, asio::ssl::context& c) {
    acceptor.async_accept([&acceptor, &c](std::error_code e, tcp::socket s) {
        if (e) return;
        std::make_shared<counting_session>(std::move(s), c)->start();
        accept_next(acceptor, c);
    });
}

// --- what is new: tasks

eddy::task<std::string> ask(tls_socket& s, std::string line) {
    line += '\n';
    co_await asio::async_write(s, asio::buffer(line), use_eddy);
    std::string answer;
    const std::size_t n = co_await asio::async_read_until(s, asio::dynamic_buffer(answer), '\n', use_eddy);
    co_return answer.substr(0, n - 1);
}

eddy::task<> talk(tcp::endpoint server, std::string trusted) {
    asio::ssl::context context = client_context(trusted);
    tls_socket s(eddy::this_loop().io_context(), context);
    co_await s.next_layer().async_connect(server, use_eddy);
    const auto shake_hands = [&](eddy::cancel_scope&) -> eddy::task<> { co_await s.async_handshake(asio::ssl::stream_base::client, use_eddy); };
    co_await eddy::with_timeout(10s, shake_hands);
    std::printf("encrypted by %s\n", ::SSL_get_version(s.native_handle()));
    for (const char* word : {"one", "three", "seventeen"}) {
        const std::string length = co_await ask(s, word);
        std::printf("%s has %s letters\n", word, length.c_str());
    }
    const auto say_farewell = [&](eddy::cancel_scope&) -> eddy::task<> { co_await s.async_shutdown(use_eddy); };
    const bool answered = co_await eddy::move_on_after(10s, say_farewell);
    std::puts(answered ? "both have said farewell" : "the server does not answer a farewell");
}

eddy::task<> everything(tcp::endpoint server, std::string certificate) {
    co_await talk(server, std::move(certificate));
    try {
        co_await talk(server, {});
        std::puts("anybody is trusted");
    } catch (const std::system_error& e) {
        std::printf("refused: %s\n", e.code().message().c_str());
    }
}

} // namespace

int main() {
    try {
        asio::io_context io;
        const identity ours = new_identity();
        asio::ssl::context context = server_context(ours);
        tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        accept_next(acceptor, context);

        eddy::event_loop loop{io};
        loop.run_until_complete(everything(acceptor.local_endpoint(), ours.certificate)); // instead of io.run()
        acceptor.close();
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "embed_asio_tls: %s\n", e.what());
        return 1;
    }
}
