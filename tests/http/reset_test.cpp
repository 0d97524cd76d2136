// Connections that are reset after each number of bytes: while a request comes, while its response goes out, in the handshake of a
// WebSocket and after it. It costs that connection, says nothing to anybody else, and the next one works.
#include "http/support.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include "lib/cut_stream.hpp"
#include "lib/words.hpp"

using namespace http_tests;
using tests::cut_stream;
using tests::uncut;

namespace {

task<> echo_to_websocket(http::websocket& ws) {
    while (std::optional<http::websocket_message> m = co_await ws.read()) co_await ws.send(std::move(m->data));
}

/// Answers with what was sent, as a whole, as a stream, or over a WebSocket.
task<http::response> answer_of_any_kind(http::request q, http::body_reader& body) {
    if (q.target == "/ws") co_return http::websocket::accept(q, &echo_to_websocket);
    std::string text = co_await body.read_all();
    if (q.target == "/whole") co_return http::response{200, std::move(text)};
    co_return http::response::stream(200, "text/plain", [text](http::body_writer& out) -> task<> {
        co_await out.write(text.substr(0, 2));
        co_await out.write(text.substr(2));
    });
}

/// A server whose next connections are reset after so many bytes, and what it has to say.
class cutting_server {
public:
    reported reports;
    std::size_t in = uncut;
    std::size_t out = uncut;
    int complete = 0;   // responses
    int incomplete = 0;
    http::server hs{&answer_of_any_kind};

    task<> start() {
        hs.wrap([this](tcp_stream s) -> task<cut_stream<tcp_stream>> { co_return cut_stream<tcp_stream>(std::move(s), in, out); }, "http");
        hs.on_access([this](const http::access_record& r) { ++(r.complete ? complete : incomplete); });
        co_await hs.listen({"127.0.0.1", 0});
    }
    task<std::string> ask(std::string text) {
        raw_connection c = co_await raw_connection::open(hs.port());
        std::string got = co_await c.ask(std::move(text));
        co_return got;
    }
    /// Until the server has noticed, too.
    task<> all_gone() {
        while (hs.connections() > 0) co_await this_task::yield();
    }
    [[nodiscard]] std::string authority() const { return "127.0.0.1:" + std::to_string(hs.port()); }
};

std::string request_for(const std::string& target) {
    return "POST " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
}

/// Says something over a websocket and ends it.
task<> use_websocket(http::websocket ws) {
    co_await ws.send("hello");
    const std::optional<http::websocket_message> m = co_await ws.read();
    const bool same = m && m->data == "hello";
    if (!same) throw std::logic_error("the websocket has echoed something else");
    co_await ws.close();
}

task<> by_url(std::string url) {
    http::websocket ws = co_await http::websocket_connect(std::move(url));
    co_await use_websocket(std::move(ws));
}

/// The same over a stream that is cut on our side.
task<> by_stream(std::uint16_t port, std::size_t in, std::size_t out) {
    tcp_stream s = co_await tcp_connect(ip_endpoint("127.0.0.1", port));
    any_stream cut(cut_stream<tcp_stream>(std::move(s), in, out));
    task<http::websocket> shaking = http::websocket_handshake(std::move(cut), "the.host", "/ws");
    http::websocket ws = co_await std::move(shaking);
    co_await use_websocket(std::move(ws));
}

} // namespace

EDDY_TEST("http server: a connection that is reset after each number of bytes of the response") {
    cutting_server s;
    co_await s.start();
    for (const char* target : {"/whole", "/streamed"}) {
        s.complete = s.incomplete = 0;
        const std::string whole = co_await s.ask(request_for(target));
        REQUIRE(whole.find("HTTP/1.1 200 OK\r\n") == 0);
        for (std::size_t n = 0; n < whole.size(); ++n) {
            s.out = n;
            std::string got = co_await s.ask(request_for(target));
            if (got.ends_with("<reset>")) got.resize(got.size() - 7);
            CHECK(got.size() <= n);
            CHECK(whole.substr(0, 15).starts_with(std::string_view(got).substr(0, 15)));
            co_await s.all_gone();
        }
        CHECK(s.complete == 1);
        CHECK(s.incomplete == static_cast<int>(whole.size()));
        s.out = uncut;
        const std::string again = co_await s.ask(request_for(target));
        CHECK(again.size() == whole.size());
    }
    CHECK(s.reports.messages.empty());
    co_await s.hs.shutdown(1h);
}

EDDY_TEST("http server: a connection that is reset after each number of bytes of the request") {
    cutting_server s;
    co_await s.start();
    const std::string request = request_for("/whole");
    for (std::size_t n = 0; n < request.size(); ++n) {
        s.in = n;
        const std::string got = co_await s.ask(request);
        CHECK((got.empty() || got == "<reset>"));
        co_await s.all_gone();
    }
    CHECK(s.complete == 0);
    s.in = uncut;
    const std::string again = co_await s.ask(request);
    CHECK(again.ends_with("hello"));
    CHECK(s.reports.messages.empty());
    co_await s.hs.shutdown(1h);
}

EDDY_TEST("websocket: the server's side is reset after each number of bytes, in the handshake and after it") {
    cutting_server s;
    co_await s.start();
    for (std::size_t cutting_server::*const way : {&cutting_server::in, &cutting_server::out}) {
        std::size_t n = 0;
        for (std::string end; end != "ok" && n < 2000; ++n) {
            s.*way = n;
            end = co_await words::ending(by_url("ws://" + s.authority() + "/ws"));
            const bool named = end == "ok" || end.find(s.authority()) != std::string::npos;
            if (!named) FAIL_CHECK("after " + std::to_string(n) + " bytes: " + end);
            co_await s.all_gone();
        }
        CHECK(n > 100);
        CHECK(n < 2000);
        s.*way = uncut;
        const std::string end = co_await words::ending(by_url("ws://" + s.authority() + "/ws"));
        CHECK(end == "ok");
    }
    CHECK(s.reports.messages.empty());
    co_await s.hs.shutdown(1h);
}

EDDY_TEST("websocket: the client's side is reset after each number of bytes, in the handshake and after it") {
    cutting_server s;
    co_await s.start();
    for (const bool incoming : {true, false}) {
        std::size_t n = 0;
        for (std::string end; end != "ok" && n < 2000; ++n) {
            end = co_await words::ending(by_stream(s.hs.port(), incoming ? n : uncut, incoming ? uncut : n));
            const bool named = end == "ok" || end.find("the.host") != std::string::npos || end.find("the peer") != std::string::npos;
            if (!named) FAIL_CHECK("after " + std::to_string(n) + " bytes: " + end);
            co_await s.all_gone();
        }
        CHECK(n > 100);
        CHECK(n < 2000);
        const std::string end = co_await words::ending(by_stream(s.hs.port(), uncut, uncut));
        CHECK(end == "ok");
    }
    CHECK(s.reports.messages.empty());
    co_await s.hs.shutdown(1h);
}
