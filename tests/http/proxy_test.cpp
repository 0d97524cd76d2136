// Requests that take the way through a proxy, which the test plays.
#include "http/peer.hpp"

#include <cstdlib>

#include "lib/words.hpp"

using namespace http_tests;
using http::error_kind;

namespace {

/// The status, or what kind of error it was and the status that it tells.
task<std::string> fate(task<http::response> request) {
    try {
        const http::response res = co_await std::move(request);
        co_return std::to_string(res.status) + " " + res.body;
    } catch (const http::error& e) {
        std::string kind = e.kind() == error_kind::proxy          ? "proxy"
                           : e.kind() == error_kind::connect      ? "connect"
                           : e.kind() == error_kind::disconnected ? "disconnected"
                           : e.kind() == error_kind::tls          ? "tls"
                                                                  : e.what();
        co_return kind + (e.status() != 0 ? " " + std::to_string(e.status()) : "");
    }
}

[[nodiscard]] std::string proxy_url(std::string_view start, std::uint16_t port) {
    return std::string(start) + "127.0.0.1:" + std::to_string(port);
}

[[nodiscard]] std::string proxy_at(const peer& p) {
    std::string url = p.url();
    url.pop_back(); // the slash
    return url;
}

[[nodiscard]] std::size_t number_at(const std::string& bytes, std::size_t at) {
    return static_cast<unsigned char>(bytes[at]);
}

/// One connection of a SOCKS5 proxy (RFC 1928, 1929) that answers in the server's place: who asked for what. `method`: 0 no password,
/// 2 user and password; `reply`: 0 is yes.
task<std::string> play_socks5(tcp_listener& l, char method, char reply) {
    tcp_stream s = co_await l.accept();
    buffered_reader in{s};
    const std::string greeting = co_await in.read_exactly(2);
    co_await in.read_exactly(number_at(greeting, 1));
    std::string chosen = "\5";
    chosen += method;
    co_await s.write(std::string_view(chosen));
    std::string asked;
    if (method == 2) {
        const std::string start = co_await in.read_exactly(2);
        const std::string user = co_await in.read_exactly(number_at(start, 1));
        const std::string length = co_await in.read_exactly(1);
        const std::string password = co_await in.read_exactly(number_at(length, 0));
        asked = user + ":" + password + "@";
        co_await s.write("\1\0"sv);
    }
    const std::string command = co_await in.read_exactly(4); // version, connect, nothing, kind of address
    if (command[3] == 1) {
        const std::string ip = co_await in.read_exactly(4);
        for (std::size_t i = 0; i < 4; ++i) asked += (i > 0 ? "." : "") + std::to_string(number_at(ip, i));
    } else {
        const std::string length = co_await in.read_exactly(1);
        const std::string name = co_await in.read_exactly(number_at(length, 0));
        asked += name;
    }
    const std::string port = co_await in.read_exactly(2);
    asked += ":" + std::to_string(256 * number_at(port, 0) + number_at(port, 1));
    std::string answer("\5\0\0\1\0\0\0\0\0\0", 10);
    answer[1] = reply;
    co_await s.write(std::string_view(answer));
    if (reply != 0) co_return asked;
    const std::string head = co_await in.read_until("\r\n\r\n");
    co_await s.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"sv);
    co_return asked + " " + head.substr(0, head.find('\r'));
}

/// Set while it lives.
class environment_variable {
public:
    environment_variable(const char* name, const std::string& value) : name_(name) {
        if (const char* const before = std::getenv(name)) before_ = before; // NOLINT(concurrency-mt-unsafe)
        ::setenv(name, value.c_str(), 1);                                   // NOLINT(concurrency-mt-unsafe)
    }
    ~environment_variable() {
        if (before_)
            ::setenv(name_, before_->c_str(), 1); // NOLINT(concurrency-mt-unsafe)
        else
            ::unsetenv(name_); // NOLINT(concurrency-mt-unsafe)
    }
    environment_variable(const environment_variable&) = delete;
    environment_variable& operator=(const environment_variable&) = delete;

private:
    const char* name_;
    std::optional<std::string> before_;
};

} // namespace

EDDY_TEST("an HTTP proxy is asked for the whole URL, with the credentials of its own") {
    peer p;
    const std::string proxy = "http://ada:p%40ss@" + proxy_at(p).substr(7);
    http::client hc{{.proxy = proxy}};
    auto running = spawn(fate(hc.get("http://nowhere.invalid:8080/x?y")));
    const std::string head = co_await p.take_request();
    CHECK(head.starts_with("GET http://nowhere.invalid:8080/x?y HTTP/1.1\r\n"));
    CHECK(head.find("\r\nHost: nowhere.invalid:8080\r\n") != std::string::npos);
    CHECK(head.find("\r\nProxy-Authorization: Basic YWRhOnBAc3M=\r\n") != std::string::npos);
    CHECK(head.find("\r\nAuthorization:") == std::string::npos);
    co_await p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    const std::string how = co_await running;
    CHECK(how == "200 hi");
    CHECK(hc.connections() == 1);
}

EDDY_TEST("a proxy that wants a password answers in the server's place") {
    peer p;
    const std::string proxy = proxy_at(p);
    http::client hc{{.proxy = proxy}};
    auto running = spawn(fate(hc.get("http://nowhere.invalid/")));
    co_await p.take_request();
    co_await p.send("HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 3\r\n\r\nwho");
    const std::string how = co_await running;
    CHECK(how == "407 who");
}

EDDY_TEST("a tunnel that a proxy refuses is an error of its own kind, with the status") {
    for (const bool with_password : {false, true}) {
        peer p;
        const std::string proxy = (with_password ? "http://ada:p@" : "http://") + proxy_at(p).substr(7);
        http::client hc{{.proxy = proxy}};
        auto running = spawn(fate(hc.get("https://nowhere.invalid/secret")));
        const std::string head = co_await p.take_request();
        CHECK(head.starts_with("CONNECT nowhere.invalid:443 HTTP/1.1\r\n"));
        CHECK(head.find("secret") == std::string::npos);
        const bool authorized = head.find("\r\nProxy-Authorization: Basic YWRhOnA=\r\n") != std::string::npos;
        CHECK(authorized == with_password);
        const std::string status = with_password ? "403 Not there" : "407 Who are you";
        co_await p.send("HTTP/1.1 " + status + "\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
        const std::string how = co_await running;
        CHECK(how == (with_password ? "proxy 403" : "proxy 407"));
        CHECK(hc.active() == 0);
    }
}

EDDY_TEST("what is behind a tunnel fails as itself") {
    peer p;
    const std::string proxy = proxy_at(p);
    http::client hc{{.proxy = proxy}};
    auto nonsense = spawn(fate(hc.get("https://nowhere.invalid/")));
    co_await p.take_request();
    co_await p.send("HTTP/1.1 200 Connection established\r\n\r\n");
    co_await p.send("this is not TLS, as anybody can see who reads it");
    const std::string how = co_await nonsense;
    CHECK(how == "tls");
    auto silent = spawn(fate(hc.get("https://nowhere.invalid/")));
    co_await p.take_request();
    co_await p.hang_up();
    const std::string gone = co_await silent;
    CHECK(gone == "disconnected");
}

EDDY_TEST("a proxy that is not there is no connection") {
    const std::uint16_t nobody = tcp_listener::bind({"127.0.0.1", 0}).local_endpoint().port();
    for (const char* const start : {"http://", "socks5h://"}) {
        const std::string proxy = proxy_url(start, nobody);
        http::client hc{{.proxy = proxy}};
        const std::string how = co_await fate(hc.get("http://nowhere.invalid/"));
        CHECK(how == "connect");
    }
}

EDDY_TEST("a request that is cancelled in front of a proxy leaves nothing behind") {
    peer p;
    const std::string proxy = proxy_at(p);
    http::client hc{{.proxy = proxy}};
    auto running = spawn(hc.get("https://nowhere.invalid/"));
    co_await p.take_request();
    co_await running.cancel_and_join();
    CHECK(running.cancelled());
    CHECK(hc.active() == 0);
    CHECK(hc.connections() == 0);
}

EDDY_TEST("SOCKS5 gets the name with socks5h, the address with socks5, and user and password") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::uint16_t port = l.local_endpoint().port();
    const std::string by_name = proxy_url("socks5h://ada:p%40ss@", port);
    http::client named{{.proxy = by_name}};
    auto first = spawn(fate(named.get("http://nowhere.invalid:8080/x")));
    const std::string asked = co_await play_socks5(l, 2, 0);
    CHECK(asked == "ada:p@ss@nowhere.invalid:8080 GET /x HTTP/1.1");
    const std::string how = co_await first;
    CHECK(how == "200 hi");
    const std::string by_address = proxy_url("socks5://", port);
    http::client resolving{{.proxy = by_address}};
    auto second = spawn(fate(resolving.get("http://127.0.0.1:81/y")));
    const std::string asked_again = co_await play_socks5(l, 0, 0);
    CHECK(asked_again == "127.0.0.1:81 GET /y HTTP/1.1");
    const std::string how_again = co_await second;
    CHECK(how_again == "200 hi");
}

EDDY_TEST("what a SOCKS5 proxy refuses is an error of the kind proxy") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::string proxy = proxy_url("socks5h://", l.local_endpoint().port());
    http::client hc{{.proxy = proxy}};
    auto running = spawn(fate(hc.get("http://nowhere.invalid/")));
    const std::string asked = co_await play_socks5(l, 0, 5); // connection refused
    CHECK(asked == "nowhere.invalid:80");
    const std::string how = co_await running;
    CHECK(how == "proxy");
}

EDDY_TEST("the environment excepts nothing from a proxy that is named, the option does") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    const environment_variable everything("no_proxy", "*");
    peer p;
    const std::string proxy = proxy_at(p);
    http::client hc{{.proxy = proxy}};
    auto running = spawn(fate(hc.get(hs.url("/x"))));
    const std::string head = co_await p.take_request();
    CHECK(head.starts_with("GET " + hs.url("/x") + " HTTP/1.1\r\n"));
    co_await p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    const std::string how = co_await running;
    CHECK(how == "200 hi");
    http::client direct{{.proxy = proxy, .no_proxy = "example.org,127.0.0.1"}};
    const std::string straight = co_await fate(direct.get(hs.url("/x")));
    CHECK(straight == "200 GET /x");
}

EDDY_TEST("the environment names a proxy, and its exceptions, only if it is asked") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    peer p;
    const environment_variable named("http_proxy", proxy_at(p));
    const environment_variable nothing("no_proxy", "example.org");
    http::client plain;
    const std::string ignored = co_await fate(plain.get(hs.url("/x")));
    CHECK(ignored == "200 GET /x");
    http::client hc{{.proxy_from_environment = true}};
    auto running = spawn(fate(hc.get(hs.url("/x"))));
    const std::string head = co_await p.take_request();
    CHECK(head.starts_with("GET " + hs.url("/x") + " HTTP/1.1\r\n"));
    co_await p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    const std::string how = co_await running;
    CHECK(how == "200 hi");
    const environment_variable local("no_proxy", "127.0.0.1");
    const std::string excepted = co_await fate(hc.get(hs.url("/x")));
    CHECK(excepted == "200 GET /x");
}

TEST_CASE("what cannot be a proxy is refused when the client is made, and the password is not told") {
    for (const char* const proxy :
         {"ftp://u:secret@127.0.0.1:1", "http://u:secret@127.0.0.1:99999", "http://u:secret@[::1/", "http://a\r\nb"}) {
        INFO(proxy);
        const std::string how = words::of_call([&] { return http::client(http::client_options{.proxy = proxy}).connections(); });
        CHECK(how.starts_with("http::client: "));
        CHECK(how.find("secret") == std::string::npos);
    }
}
