// The HTTP client against OpenSSL's test server: certificates are checked.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/http.hpp>
#include <eddy/testing.hpp>

#include "interop/certificate.hpp"
#include "lib/left_out.hpp"

using namespace std::chrono_literals;
using namespace eddy;
using interop::certificate;

namespace {

/// `openssl s_server` on a port of the kernel's choice; it answers every GET with a page.
class openssl_server {
public:
    /// `more`: arguments, each after a space.
    explicit openssl_server(const certificate& c, const std::string& more = {}) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
        output_ = ends[0];
        const std::string cert = c.file();
        const std::string key = c.key();
        std::vector<const char*> arguments{"openssl", "s_server", "-accept", "0", "-www", "-cert", cert.c_str(), "-key", key.c_str()};
        std::string words = more;
        for (char& letter : words) {
            if (letter != ' ') continue;
            letter = '\0';
            arguments.push_back(&letter + 1);
        }
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
        if (::posix_spawnp(&pid_, "openssl", &actions, nullptr, const_cast<char**>(arguments.data()), environ) != 0) pid_ = -1;
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
    }
    ~openssl_server() {
        if (output_ >= 0) ::close(output_);
        if (pid_ < 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    openssl_server(const openssl_server&) = delete;
    openssl_server& operator=(const openssl_server&) = delete;

    /// Its port, once it says "ACCEPT [::]:PORT".
    task<std::string> port() {
        std::string said;
        for (;;) {
            const std::size_t line = said.find("ACCEPT ");
            const std::size_t end = line == std::string::npos ? line : said.find('\n', line);
            if (end != std::string::npos) co_return said.substr(said.rfind(':', end) + 1, end - said.rfind(':', end) - 1);
            co_await wait_readable(output_);
            std::array<char, 256> part{};
            const ssize_t n = ::read(output_, part.data(), part.size());
            if (n <= 0) co_return "";
            said.append(part.data(), static_cast<std::size_t>(n));
        }
    }

private:
    pid_t pid_ = -1;
    int output_ = -1;
};

task<std::string> outcome_of(http::client& hc, std::string url) {
    try {
        const http::response res = co_await hc.get(std::move(url));
        co_return std::to_string(res.status) + (res.timings.tls.count() > 0 ? " over TLS" : "");
    } catch (const http::error& e) {
        co_return e.kind() == http::error_kind::tls ? "tls error" : e.what();
    }
}

/// The message of the error; the page if there is none.
task<std::string> words_of(http::client& hc, std::string url) {
    try {
        const http::response res = co_await hc.get(std::move(url));
        co_return res.body;
    } catch (const http::error& e) {
        co_return e.what();
    }
}

task<> pump_bytes(tcp_stream& from, tcp_stream& to) {
    try {
        std::array<std::byte, 4096> buffer{};
        for (;;) {
            const std::span<std::byte> space(buffer);
            const std::size_t n = co_await from.read_some(space);
            if (n == 0) break;
            const std::span<const std::byte> bytes(buffer.data(), n);
            co_await to.write(bytes);
        }
        co_await to.shutdown_write();
    } catch (const std::exception&) { // one side is gone
    }
}

/// One connection of a proxy that makes tunnels to this machine; `asked` is the head of what it was told.
task<> make_tunnel(tcp_listener& l, std::string& asked) {
    tcp_stream client = co_await l.accept();
    buffered_reader in{client};
    asked = co_await in.read_until("\r\n\r\n");
    const std::size_t colon = asked.find(':');
    const int port = std::stoi(asked.substr(colon + 1));
    tcp_stream server = co_await tcp_connect(ip_endpoint("127.0.0.1", static_cast<std::uint16_t>(port)));
    co_await client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    co_await gather(pump_bytes(client, server), pump_bytes(server, client));
}

} // namespace

EDDY_TEST_REAL("https: a certificate counts if it is trusted and names the host") {
    const certificate c;
    if (!c) {
        tests::left_out("there is no openssl: https is not tested");
        co_return;
    }
    openssl_server server(c);
    const std::string port = co_await server.port();
    REQUIRE(!port.empty());
    const std::string file = c.file();
    http::client strict;
    const std::string untrusted = co_await outcome_of(strict, "https://localhost:" + port + "/");
    CHECK(untrusted == "tls error");
    http::client trusting{{.ca_file = file}};
    const std::string trusted = co_await outcome_of(trusting, "https://localhost:" + port + "/");
    CHECK(trusted == "200 over TLS");
    const std::string misnamed = co_await outcome_of(trusting, "https://127.0.0.1:" + port + "/");
    CHECK(misnamed == "tls error");
    http::client careless{{.verify_tls = false}};
    const std::string unchecked = co_await outcome_of(careless, "https://127.0.0.1:" + port + "/");
    CHECK(unchecked == "200 over TLS");
}

EDDY_TEST_REAL("https: a proxy makes a tunnel, and the certificate behind it is checked") {
    const certificate c;
    if (!c) {
        tests::left_out("there is no openssl: https is not tested");
        co_return;
    }
    openssl_server server(c);
    const std::string port = co_await server.port();
    REQUIRE(!port.empty());
    const std::string file = c.file();
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::string proxy = "http://127.0.0.1:" + std::to_string(l.local_endpoint().port());
    for (const bool trusting : {true, false}) {
        std::string asked;
        auto tunnel = spawn(make_tunnel(l, asked));
        http::client hc{{.ca_file = trusting ? std::string_view(file) : std::string_view(), .proxy = proxy}};
        const std::string how = co_await outcome_of(hc, "https://localhost:" + port + "/");
        CHECK(how == (trusting ? "200 over TLS" : "tls error"));
        CHECK(asked.starts_with("CONNECT localhost:" + port + " HTTP/1.1\r\n"));
        co_await tunnel.cancel_and_join();
    }
}

EDDY_TEST_REAL("https: a server that wants a certificate gets ours") {
    const certificate c;
    if (!c) {
        tests::left_out("there is no openssl: https is not tested");
        co_return;
    }
    const std::string file = c.file();
    const std::string key = c.key();
    openssl_server old_server(c, " -Verify 1 -tls1_2");
    openssl_server new_server(c, " -Verify 1 -tls1_3");
    const std::string old_port = co_await old_server.port();
    const std::string new_port = co_await new_server.port();
    REQUIRE(!old_port.empty());
    REQUIRE(!new_port.empty());
    http::client nameless{{.ca_file = file}};
    const std::string refused = co_await outcome_of(nameless, "https://localhost:" + old_port + "/");
    CHECK(refused == "tls error");
    const std::string refused_later = co_await outcome_of(nameless, "https://localhost:" + new_port + "/");
    CHECK(refused_later != "200 over TLS"); // its connection may be reset before the alert is read
    http::client known{{.ca_file = file, .certificate_file = file, .key_file = key}};
    const std::array<std::string, 2> ports{old_port, new_port};
    for (const std::string& port : ports) {
        const std::string page = co_await words_of(known, "https://localhost:" + port + "/");
        CHECK(page.find("Client certificate") != std::string::npos);
    }
}

EDDY_TEST_REAL("https: errors name the file that is wrong") {
    const certificate c;
    if (!c) {
        tests::left_out("there is no openssl: https is not tested");
        co_return;
    }
    openssl_server server(c);
    const std::string port = co_await server.port();
    REQUIRE(!port.empty());
    const std::string url = "https://localhost:" + port + "/";
    const std::string file = c.file();
    const std::string key = c.key();
    const std::string missing = file + ".missing";
    http::client no_certificate{{.ca_file = file, .certificate_file = missing, .key_file = key}};
    const std::string about_certificate = co_await words_of(no_certificate, url);
    CHECK(about_certificate.starts_with("GET " + url + " failed: TLS failed: "));
    CHECK(about_certificate.ends_with("(certificate_file '" + missing + "', key_file '" + key + "')"));
    http::client no_key{{.ca_file = file, .certificate_file = file, .key_file = missing}};
    const std::string about_key = co_await words_of(no_key, url);
    CHECK(about_key.ends_with("(certificate_file '" + file + "', key_file '" + missing + "')"));
    http::client no_authority{{.ca_file = missing}};
    const std::string about_authority = co_await words_of(no_authority, url);
    CHECK(about_authority.ends_with("(ca_file '" + missing + "')"));
}

EDDY_TEST_REAL("https: authorities come from text as well, and old versions of TLS can be refused") {
    const certificate c;
    if (!c) {
        tests::left_out("there is no openssl: https is not tested");
        co_return;
    }
    openssl_server server(c, " -tls1_2");
    const std::string port = co_await server.port();
    REQUIRE(!port.empty());
    const std::string url = "https://localhost:" + port + "/";
    const std::string text = co_await read_file(c.file());
    http::client trusting{{.ca_pem = text}};
    const std::string trusted = co_await outcome_of(trusting, url);
    CHECK(trusted == "200 over TLS");
    http::client confused{{.ca_pem = "this is no certificate"}};
    const std::string unreadable = co_await words_of(confused, url);
    CHECK(unreadable.starts_with("GET " + url + " failed: TLS failed: "));
    CHECK(unreadable.ends_with("(ca_pem)"));
    http::client modern{{.ca_pem = text, .minimum_tls = http::tls_minimum::tls_1_3}};
    const std::string too_old = co_await outcome_of(modern, url);
    CHECK(too_old == "tls error");
}
