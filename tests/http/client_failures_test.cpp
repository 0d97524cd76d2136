// The client over real sockets: everything that goes wrong has a kind of its own, and the client can be used afterwards.
#include "http/support.hpp"

#include "lib/words.hpp"

using namespace http_tests;
using http::error_kind;

namespace {

// gzip of 100 000 zero bytes
constexpr std::string_view bomb(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\x6d\x0d\x0f\xa0\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x57\x03\x7d\x95\x11\xd4\xa0\x86\x01\x00",
    132);

// A server whose answer to /N is raw text number N, then the end of the connection.
template <std::size_t N>
auto raw_answers(const std::array<std::string, N>& texts) {
    return [&texts](http::request q) -> task<http::response> {
        if (q.target == "/fine") co_return http::response{200, "fine"};
        co_return http::response::raw(texts.at(static_cast<std::size_t>(std::stoi(q.target.substr(1)))));
    };
}

std::uint16_t unused_port() {
    return tcp_listener::bind({"127.0.0.1", 0}).local_endpoint().port();
}

} // namespace

EDDY_TEST("a refused connection is named with its URL and the system's reason") {
    http::client hc;
    const std::string url = "http://127.0.0.1:" + std::to_string(unused_port()) + "/x";
    std::string message;
    try {
        co_await hc.get(url);
    } catch (const http::error& e) {
        message = e.what();
        CHECK(e.kind() == error_kind::connect);
        CHECK(e.url() == url);
        CHECK(e.os_error() == std::errc::connection_refused);
    }
    CHECK(message.starts_with("GET " + url + " failed: no connection"));
}

EDDY_TEST("what is no http URL is refused before anything is sent") {
    http::client hc;
    const std::array<const char*, 11> urls{"",        "nonsense",     "/path",       "ftp://127.0.0.1/",        "file:///etc/passwd",
                                           "http://", "http:///path", "http://a b/", "http://127.0.0.1:99999/", "http://[::1/",
                                           "javascript:alert(1)"};
    for (const char* const url : urls) {
        INFO(url);
        const std::optional<error_kind> kind = co_await failure_of(hc.get(url));
        CHECK(kind == error_kind::bad_url);
    }
}

EDDY_TEST("methods and headers that could break a request are refused by the call") {
    http::client hc;
    CHECK_THROWS_AS(hc.request("G ET", "http://127.0.0.1/"), std::invalid_argument);
    CHECK_THROWS_AS(hc.request("", "http://127.0.0.1/"), std::invalid_argument);
    const std::array<http::header, 1> bad{http::header("X", "a\r\nY: b")};
    CHECK_THROWS_AS(hc.get("http://127.0.0.1/", {.headers = bad}), std::invalid_argument);
    co_return;
}

EDDY_TEST("a redirect loop ends at the limit") {
    int asked = 0;
    http::server hs{[&](http::request) -> task<http::response> {
        ++asked;
        co_return http::response(301).set("Location", "/again");
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.max_redirects = 5}};
    const std::optional<error_kind> kind = co_await failure_of(hc.get(hs.url()));
    CHECK(kind == error_kind::too_many_redirects);
    CHECK(asked == 6);
}

EDDY_TEST("a redirect leads to http and https only") {
    http::server hs{[](http::request q) -> task<http::response> {
        co_return http::response(302).set("Location", q.target == "/f" ? "file:///etc/passwd" : "gopher://127.0.0.1:1/x");
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::optional<error_kind> file = co_await failure_of(hc.get(hs.url("/f")));
    CHECK(file == error_kind::bad_url);
    const std::optional<error_kind> gopher = co_await failure_of(hc.get(hs.url("/g")));
    CHECK(gopher == error_kind::bad_url);
}

EDDY_TEST("a response that takes too long is given up") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/slow") co_await sleep_for(1h);
        co_return http::response{200, "ok"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.timeout = 10s}};
    const auto start = loop_clock::now();
    const std::optional<error_kind> by_client = co_await failure_of(hc.get(hs.url("/slow")));
    CHECK(by_client == error_kind::timeout);
    const auto ten = loop_clock::now();
    const std::optional<error_kind> by_request = co_await failure_of(hc.get(hs.url("/slow"), {.timeout = 2s}));
    CHECK(by_request == error_kind::timeout);
    const bool ordered = ten - start >= 10s && loop_clock::now() - ten >= 2s && loop_clock::now() - ten < 10s;
    CHECK(ordered);
    const http::response fine = co_await hc.get(hs.url());
    CHECK(fine.body == "ok");
}

EDDY_TEST("a connection that is not ready in time is given up") {
    tcp_listener silent = tcp_listener::bind({"127.0.0.1", 0}); // takes connections and never says a word
    http::client hc{{.connect_timeout = 3s}};
    const std::string url = "https://127.0.0.1:" + std::to_string(silent.local_endpoint().port()) + "/";
    std::string message;
    const auto start = loop_clock::now();
    try {
        co_await hc.get(url);
    } catch (const http::error& e) {
        message = e.what();
    }
    CHECK(message == "GET " + url + " failed: timed out: the time limit for a connection is over (3000 ms)");
    const bool in_between = loop_clock::now() - start >= 3s && loop_clock::now() - start < 60s;
    CHECK(in_between);
}

EDDY_TEST("a truncated body is an error, not a short body") {
    const std::string head = "HTTP/1.1 200 OK\r\n";
    const std::array<std::string, 3> texts{head + "Content-Length: 10\r\n\r\n12345", head + "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
                                           head + "Transfer-Encoding: chunked\r\n\r\n5\r\n12"};
    http::server hs{raw_answers(texts)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        INFO(texts[i]);
        const std::optional<error_kind> kind = co_await failure_of(hc.get(hs.url("/" + std::to_string(i))));
        CHECK(kind == error_kind::truncated);
    }
    const http::response fine = co_await hc.get(hs.url("/fine"));
    CHECK(fine.body == "fine");
}

EDDY_TEST("a server that resets at any point of its answer is an error, and the next request is answered") {
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    std::size_t sent = 0; // of the answer, before the reset
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::string url = "http://" + l.local_endpoint().to_string() + "/";
    auto serving = spawn([&]() -> task<> {
        for (;;) {
            raw_connection c(co_await l.accept());
            co_await c.read_until("\r\n\r\n");
            if (sent > 0) co_await c.send(answer.substr(0, sent));
            if (sent < answer.size())
                c.stream().abort();
            else
                co_await c.stream().close();
        }
    });
    http::client hc;
    for (; sent < answer.size(); ++sent) {
        INFO(sent);
        const std::optional<error_kind> kind = co_await failure_of(hc.get(url));
        CHECK(kind.has_value());
    }
    const http::response whole = co_await hc.get(url);
    CHECK(whole.body == "hello");
    co_await serving.cancel_and_join();
}

EDDY_TEST("what is not HTTP is an error") {
    const std::array<std::string, 4> texts{"", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"};
    http::server hs{raw_answers(texts)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::optional<error_kind> nothing = co_await failure_of(hc.get(hs.url("/0")));
    CHECK(nothing == error_kind::disconnected);
    const std::optional<error_kind> other = co_await failure_of(hc.get(hs.url("/1")));
    CHECK(other == error_kind::protocol);
    const std::optional<error_kind> half = co_await failure_of(hc.get(hs.url("/2")));
    CHECK(half.has_value());
    const std::optional<error_kind> length = co_await failure_of(hc.get(hs.url("/3")));
    CHECK(length == error_kind::protocol);
}

EDDY_TEST("a body beyond the limit is an error, however it comes") {
    const std::string head = "HTTP/1.1 200 OK\r\n";
    const std::array<std::string, 4> texts{
        head + "Content-Length: 1001\r\n\r\n" + std::string(1001, 'x'), head + "\r\n" + std::string(1001, 'x'),
        head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n",
        head + "Content-Encoding: gzip\r\nContent-Length: 132\r\n\r\n" + std::string(bomb)};
    http::server hs{raw_answers(texts)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.max_body = 1000}};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        INFO(i);
        const std::optional<error_kind> kind = co_await failure_of(hc.get(hs.url("/" + std::to_string(i))));
        CHECK(kind == error_kind::too_large);
    }
    const http::response allowed = co_await hc.get(hs.url("/1"), {.max_body = 1001});
    CHECK(allowed.body.size() == 1001);
    std::string message;
    try {
        co_await hc.get(hs.url("/0"));
    } catch (const http::error& e) {
        message = e.what();
    }
    CHECK(message == "GET " + hs.url("/0") + " failed: response too large: a body of 1001 bytes is announced, the limit is 1000");
}

EDDY_TEST("headers beyond the limit are an error") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response(200).set("X", std::string(5000, 'x')); }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.max_header = 4000}};
    const std::optional<error_kind> kind = co_await failure_of(hc.get(hs.url()));
    CHECK(kind == error_kind::too_large);
}

EDDY_TEST("a broken compressed body is an error") {
    http::server hs{[](http::request) -> task<http::response> {
        co_return http::response{200, "this is not gzip"}.set("Content-Encoding", "gzip");
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::optional<error_kind> kind = co_await failure_of(hc.get(hs.url()));
    CHECK(kind == error_kind::encoding);
}

EDDY_TEST("https to a server that speaks http is a TLS error") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::optional<error_kind> kind = co_await failure_of(hc.get("https://127.0.0.1:" + std::to_string(hs.port()) + "/"));
    CHECK(kind == error_kind::tls);
}

EDDY_TEST("a cancelled request closes its connection and leaves the client usable") {
    event entered;
    http::server hs{[&](http::request q) -> task<http::response> {
        entered.set();
        if (q.target == "/slow") co_await sleep_for(1h);
        co_return http::response{200, q.target};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response first = co_await hc.get(hs.url("/first"));
    entered.clear();
    auto h = spawn(hc.get(hs.url("/slow")));
    co_await entered.wait();
    CHECK(hc.active() == 1);
    CHECK(hc.connections() == 1);
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(hc.active() == 0);
    CHECK(hc.connections() == 0);
    const http::response next = co_await hc.get(hs.url("/next"));
    CHECK(next.body == "/next");
    CHECK_FALSE(next.connection_reused);
}

EDDY_TEST("a request cancelled at any moment leaves nothing behind") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    for (int ticks = 0; ticks < 40; ++ticks) {
        auto h = spawn(hc.get(hs.url()));
        for (int i = 0; i < ticks && !h.done(); ++i) co_await this_task::yield();
        co_await h.cancel_and_join();
    }
    CHECK(hc.active() == 0);
    const http::response fine = co_await hc.get(hs.url("/fine"));
    CHECK(fine.body == "GET /fine");
}

EDDY_TEST("an outer timeout cancels the request") {
    http::server hs{[](http::request) -> task<http::response> {
        co_await sleep_for(1h);
        co_return http::response{200};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.timeout = 0s}};
    auto ask = [&](cancel_scope&) { return hc.get(hs.url()); };
    const std::optional<http::response> nothing = co_await move_on_after(2s, ask);
    CHECK_FALSE(nothing.has_value());
    CHECK(hc.active() == 0);
}

EDDY_TEST("headers that follow from the request, a NUL in the address and a line break in the user agent are refused") {
    http::client c;
    for (const std::string_view name : {"Content-Length", "transfer-encoding", "Connection"}) {
        const std::array<http::header, 1> one{http::header{std::string(name), "3"}};
        const std::string end = words::of_call([&] { return c.get("http://127.0.0.1:1/", {.headers = one}); });
        CHECK(end.find("is the client's business") != std::string::npos);
    }
    const std::string nul = co_await words::ending(c.get(std::string("http://127.0.0.1:1/a\0evil", 25)));
    CHECK(nul.find("there is a NUL in it") != std::string::npos);
    CHECK(words::throws<std::invalid_argument>([] { return http::client(http::client_options{.user_agent = "a\r\nX: y"}).connections(); }));
}

TEST_CASE("options of TLS that contradict each other are refused when the client is made") {
    using http::client_options;
    const auto made = [](const client_options& o) { return words::of_call([&] { return http::client(o).connections(); }); };
    CHECK(made({.ca_file = "a", .ca_pem = "b"}) == "http::client: either ca_file or ca_pem says who is trusted, not both");
    CHECK(made({.key_file = "k"}) == "http::client: there is a key, but no certificate_file");
    CHECK(made({.key_password = "p"}) == "http::client: there is a key, but no certificate_file");
    CHECK(made({.certificate_file = std::string_view("a\0b", 3)}).starts_with("http::client: there is a NUL"));
    CHECK(made({.certificate_file = "c", .key_file = "k", .key_password = "p"}) == "ok");
}
