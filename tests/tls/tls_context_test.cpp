// Who trusts whom, and what is agreed on.
#include "tls/support.hpp"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

using namespace tls_tests;

namespace {

class temporary_file {
public:
    explicit temporary_file(const std::string& text) {
        std::string pattern = (std::filesystem::temp_directory_path() / "eddy-tls-XXXXXX").string();
        const int fd = ::mkstemp(pattern.data());
        if (fd >= 0) ::close(fd);
        path = pattern;
        std::ofstream(path) << text;
    }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file() { std::remove(path.c_str()); }
    std::string path;
};

/// What a setting throws.
template <class F>
std::string refusal_of(F f) {
    try {
        f();
    } catch (...) {
        return text_of(std::current_exception());
    }
    return "ok";
}

/// What the two ends of one connection say.
task<tls_session_info> connect_once(tls_context client, tls_context server, bool read_something = true) {
    auto c = co_await in_memory({}, client, server);
    if (read_something) { // tickets of TLS 1.3 come after the handshake
        co_await c.server.write("x");
        static_cast<void>(co_await read_text(c.client));
    }
    co_return c.client.tls_info();
}

} // namespace

EDDY_TEST("verification: a certificate that nobody trusted has signed is refused, by name and reason") {
    const endings e = co_await try_in_memory(client_context(), server_context(self_signed()));
    CHECK(e.client == "tls_error: TLS handshake with localhost: certificate verify failed: self-signed certificate");
    CHECK(e.server == "tls_error: TLS handshake with a client: the peer refused: unknown CA");
}

EDDY_TEST("verification over TCP names host and port") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    auto accepting = spawn([](tcp_listener& from) -> task<std::string> {
        tcp_stream s = co_await from.accept();
        co_return co_await ending_of(tls_accept(std::move(s), server_context(self_signed())));
    }, std::ref(l));
    const std::string port = std::to_string(l.local_endpoint().port());
    const std::string e = co_await ending_of(tls_connect("localhost", l.local_endpoint().port(), client_context()));
    CHECK(e == "tls_error: TLS handshake with localhost:" + port + ": certificate verify failed: self-signed certificate");
    const std::string there = co_await accepting;
    CHECK(there.ends_with("the peer refused: unknown CA")); // the alert has arrived
}

EDDY_TEST("verification: the host's name, an IP address, an expired certificate") {
    const endings wrong = co_await try_in_memory(client_context(), server_context(other()));
    CHECK(wrong.client == "tls_error: TLS handshake with localhost: certificate verify failed: hostname mismatch");
    const endings old = co_await try_in_memory(client_context(), server_context(expired()));
    CHECK(old.client == "tls_error: TLS handshake with localhost: certificate verify failed: certificate has expired");
    const endings address = co_await try_in_memory(client_context(), server_context(), "127.0.0.1");
    CHECK(address.client == "ok");
    const endings wrong_address = co_await try_in_memory(client_context(), server_context(), "127.0.0.2");
    CHECK(wrong_address.client == "tls_error: TLS handshake with 127.0.0.2: certificate verify failed: IP address mismatch");
    const endings dot = co_await try_in_memory(client_context(), server_context(), "LocalHost.");
    CHECK(dot.client == "ok");
}

EDDY_TEST("verification: tls_options::server_name is checked instead of the host") {
    testing::memory_streams ends = testing::memory_stream_pair();
    tls_options o;
    o.server_name = "other.test";
    const endings e = co_await try_handshake(std::move(ends.a), std::move(ends.b), client_context(), server_context(other()), "localhost", o);
    CHECK(e.client == "ok");
}

EDDY_TEST("verification: the error's code tells the kinds apart") {
    testing::memory_streams ends = testing::memory_stream_pair();
    auto accepting = spawn(ending_of(tls_accept(std::move(ends.b), server_context(self_signed()))));
    auto connecting = tls_upgrade(std::move(ends.a), client_context(), "localhost");
    const auto e = co_await as_result(std::move(connecting));
    CHECK((e.error() == tls_errc::certificate));
    co_await accepting.join();
}

EDDY_TEST("insecure_verify_none accepts anything") {
    tls_context careless = tls_context::client(tls_trust::nobody);
    careless.insecure_verify_none();
    const endings e = co_await try_in_memory(careless, server_context(self_signed()), "somewhere.else");
    CHECK(e.client == "ok");
    CHECK(e.server == "ok");
}

EDDY_TEST("the very certificate of a server can be trusted") {
    tls_context own = tls_context::client(tls_trust::nobody);
    own.trust_pem(self_signed().certificate);
    const endings e = co_await try_in_memory(own, server_context(self_signed()));
    CHECK(e.client == "ok");
    tls_context leaf = tls_context::client(tls_trust::nobody);
    leaf.trust_pem(localhost().certificate);
    const endings f = co_await try_in_memory(leaf, server_context());
    CHECK(f.client == "ok");
}

EDDY_TEST("an intermediate authority is sent along") {
    const identity middle = make_identity({.name = "Middle", .names = {}, .authority = true}, &authority());
    const identity leaf = make_identity({.name = "localhost", .names = {"DNS:localhost"}}, &middle);
    const endings with = co_await try_in_memory(client_context(), tls_context::server_pem(leaf.certificate + middle.certificate, leaf.key));
    CHECK(with.client == "ok");
    const endings without = co_await try_in_memory(client_context(), tls_context::server_pem(leaf.certificate, leaf.key));
    CHECK(without.client == "tls_error: TLS handshake with localhost: certificate verify failed: unable to get local issuer certificate");
}

EDDY_TEST("mutual TLS: a client with a certificate is let in, and known") {
    tls_context ts = server_context();
    ts.require_client_certificate_pem(authority().certificate);
    tls_context tc = client_context();
    tc.certificate_pem(somebody().certificate, somebody().key);
    auto c = co_await in_memory({}, tc, ts);
    CHECK(c.server.tls_info().peer_subject == "CN=somebody");
}

EDDY_TEST("mutual TLS: a client without one, or of a stranger, is refused") {
    tls_context ts = server_context();
    ts.require_client_certificate_pem(authority().certificate);
    for (const bool stranger : {false, true}) {
        tls_context tc = client_context();
        if (stranger) tc.certificate_pem(self_signed().certificate, self_signed().key);
        testing::memory_streams ends = testing::memory_stream_pair();
        auto accepting = spawn(ending_of(tls_accept(std::move(ends.b), ts)));
        memory_tls t = co_await tls_upgrade(std::move(ends.a), tc, "localhost"); // TLS 1.3: over before the server has seen it
        const std::string client = co_await ending_of(read_text(t));
        const std::string server = co_await accepting;
        if (stranger) {
            CHECK(server == "tls_error: TLS handshake with a client: certificate verify failed: self-signed certificate");
            CHECK(client == "tls_error: TLS read from localhost: the peer refused: unknown CA");
        } else {
            CHECK(server == "tls_error: TLS handshake with a client: the client has shown no certificate");
            CHECK(client.starts_with("tls_error: TLS read from localhost: the peer refused: "));
        }
        const std::string again = co_await ending_of(read_text(t));
        CHECK(again == client);
    }
}

EDDY_TEST("ALPN: the server's first that the client offers") {
    tls_context tc = client_context();
    tc.alpn({"http/1.1", "h2"});
    tls_context ts = server_context();
    ts.alpn({"h2", "http/1.1"});
    auto c = co_await in_memory({}, tc, ts);
    CHECK(c.client.alpn_protocol() == "h2");
    CHECK(c.server.alpn_protocol() == "h2");
    auto without = co_await in_memory({}, client_context(), ts);
    CHECK(without.server.alpn_protocol() == "");
    auto ignored = co_await in_memory({}, tc, server_context());
    CHECK(ignored.client.alpn_protocol() == "");
}

EDDY_TEST("ALPN: nothing in common is refused") {
    tls_context tc = client_context();
    tc.alpn({"mqtt"});
    tls_context ts = server_context();
    ts.alpn({"h2"});
    const endings e = co_await try_in_memory(tc, ts);
    CHECK(e.client.starts_with("tls_error: TLS handshake with localhost: the peer refused: "));
    CHECK(e.server.starts_with("tls_error: TLS handshake with a client: "));
}

EDDY_TEST("SNI: the server has a certificate for each name") {
    tls_context ts = server_context();
    tls_context for_other = server_context(other());
    for_other.alpn({"h2"});
    ts.for_name("Other.Test", for_other);
    const endings known = co_await try_in_memory(client_context(), ts, "other.test");
    CHECK(known.client == "ok");
    const endings standard = co_await try_in_memory(client_context(), ts, "localhost");
    CHECK(standard.client == "ok");
    const endings by_address = co_await try_in_memory(client_context(), ts, "127.0.0.1");
    CHECK(by_address.client == "ok");
    testing::memory_streams ends = testing::memory_stream_pair();
    tls_context tc = client_context();
    tc.alpn({"h2"});
    tls_options o;
    o.server_name = "other.test";
    auto c = co_await shake_hands(std::move(ends.a), std::move(ends.b), tc, ts, o);
    CHECK(c.server.tls_info().server_name == "other.test");
    CHECK(c.server.alpn_protocol() == "h2");
}

EDDY_TEST("SNI: a ticket of one name does not open another that asks for a client certificate") {
    const identity both = make_identity({.name = "both", .names = {"DNS:localhost", "DNS:secret.test"}}, &authority());
    tls_context ts = server_context(both);
    tls_context secret = server_context(both);
    secret.require_client_certificate_pem(authority().certificate);
    ts.for_name("secret.test", secret);
    tls_context tc = client_context();
    const tls_session_info first = co_await connect_once(tc, ts);
    const tls_session_info second = co_await connect_once(tc, ts);
    CHECK(!first.resumed);
    CHECK(second.resumed);
    testing::memory_streams ends = testing::memory_stream_pair();
    tls_options o;
    o.server_name = "secret.test";
    // It has sessions for "localhost", and does not offer them here. One who does is in tls_protocol_test.cpp.
    auto accepting = spawn(ending_of(tls_accept(std::move(ends.b), ts)));
    memory_tls t = co_await tls_upgrade(std::move(ends.a), tc, "localhost", o);
    const std::string server = co_await accepting;
    CHECK(server == "tls_error: TLS handshake with a client: the client has shown no certificate");
}

EDDY_TEST("sessions are resumed, by host and context, unless that is switched off") {
    tls_context ts = server_context();
    tls_context tc = client_context();
    for (int i = 0; i < 4; ++i) {
        const tls_session_info info = co_await connect_once(tc, ts);
        CHECK(info.resumed == (i > 0));
        CHECK(info.peer_subject == "CN=localhost");
    }
    tls_context forgetful = client_context();
    forgetful.resume_sessions(false);
    static_cast<void>(co_await connect_once(forgetful, ts));
    const tls_session_info info = co_await connect_once(forgetful, ts);
    CHECK(!info.resumed);
    const tls_session_info elsewhere = co_await connect_once(tc, server_context()); // whose tickets have other keys
    CHECK(!elsewhere.resumed);
}

EDDY_TEST("resumption with mutual TLS") {
    tls_context ts = server_context();
    ts.require_client_certificate_pem(authority().certificate);
    tls_context tc = client_context();
    tc.certificate_pem(somebody().certificate, somebody().key);
    static_cast<void>(co_await connect_once(tc, ts));
    const tls_session_info second = co_await connect_once(tc, ts);
    CHECK(second.resumed);
}

EDDY_TEST("minimum_version: both sides can insist on TLS 1.3") {
    tls_context modern = server_context();
    modern.minimum_version(tls_version::tls_1_3);
    const tls_session_info info = co_await connect_once(client_context(), modern);
    CHECK(info.version == "TLSv1.3");
}

TEST_CASE("tls_context: files") {
    const temporary_file certificate(localhost().certificate);
    const temporary_file key(localhost().key);
    const temporary_file ca(authority().certificate);
    tls_context ts = tls_context::server(certificate.path, key.path);
    ts.require_client_certificate(ca.path);
    tls_context tc = tls_context::client();
    tc.trust_file(ca.path).certificate_file(certificate.path, key.path);
}

TEST_CASE("tls_context: what cannot be used is refused by the name of the file") {
    const temporary_file certificate(localhost().certificate);
    const temporary_file other_key(other().key);
    const temporary_file nonsense("nonsense\n");
    const temporary_file broken("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    try {
        static_cast<void>(tls_context::server("/nowhere/x.pem", other_key.path));
        FAIL_CHECK("it was accepted");
    } catch (const std::system_error& e) {
        CHECK(std::string(e.what()) == "TLS: cannot read /nowhere/x.pem: No such file or directory");
        CHECK(e.code() == std::errc::no_such_file_or_directory);
    }
    CHECK(refusal_of([&] { static_cast<void>(tls_context::server(nonsense.path, other_key.path)); }) ==
          "tls_error: TLS: there is no certificate in " + nonsense.path);
    CHECK(refusal_of([&] { static_cast<void>(tls_context::server(certificate.path, nonsense.path)); })
              .starts_with("tls_error: TLS: there is no private key without a pass phrase in " + nonsense.path));
    CHECK(refusal_of([&] { static_cast<void>(tls_context::server(certificate.path, other_key.path)); })
              .starts_with("tls_error: TLS: the key in " + other_key.path + " does not belong to the certificate in " + certificate.path));
    tls_context tc = client_context();
    CHECK(refusal_of([&] { tc.trust_file(broken.path); }).starts_with("tls_error: TLS: a certificate in " + broken.path + " cannot be read"));
    CHECK(refusal_of([&] { tc.require_client_certificate_pem(authority().certificate); }) == "logic_error: TLS: require_client_certificate is for servers");
    CHECK(refusal_of([&] { tc.alpn({""}); }).starts_with("logic_error: TLS: an ALPN protocol has 1 to 255 bytes"));
    tls_context ts = server_context();
    CHECK(refusal_of([&] { ts.for_name("x", ts); }).starts_with("logic_error: "));
    CHECK(refusal_of([&] { ts.for_name("x", tc); }).starts_with("logic_error: "));
}

EDDY_TEST("a context for the wrong side, or a name that is none, is refused by the call") {
    testing::memory_streams ends = testing::memory_stream_pair();
    CHECK_THROWS_AS(tls_upgrade(std::move(ends.a), server_context(), "localhost"), std::invalid_argument);
    CHECK_THROWS_AS(tls_accept(std::move(ends.b), client_context()), std::invalid_argument);
    testing::memory_streams more = testing::memory_stream_pair();
    CHECK_THROWS_AS(tls_upgrade(std::move(more.a), client_context(), ""), std::invalid_argument);
    CHECK_THROWS_AS(tls_connect(std::string("localhost\0.evil", 15), 1, client_context()), std::invalid_argument);
    co_return;
}

EDDY_TEST("names that OpenSSL would read otherwise are refused") {
    const std::vector<std::string> names{".localhost", "", std::string(300, 'x'), std::string("a\0b", 3)};
    for (const std::string& name : names) {
        testing::memory_streams ends = testing::memory_stream_pair();
        std::string ending;
        try {
            co_await tls_upgrade(std::move(ends.a), client_context(), name);
        } catch (const std::invalid_argument& e) {
            ending = e.what();
        }
        CHECK(ending.find("name of the host") != std::string::npos);
    }
}

EDDY_TEST("a context that has names of its own is none for another name") {
    tls_context a = server_context();
    tls_context b = server_context();
    a.for_name("b.example", b);
    CHECK_THROWS_AS(b.for_name("a.example", a), std::invalid_argument);
    co_return;
}
