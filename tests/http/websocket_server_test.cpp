// Websockets end to end: http::server and the client over real sockets, and the handshake of both.
#include "http/websocket_support.hpp"

#include <stdexcept>

using namespace websocket_tests;

namespace {

using op = websocket_opcode;

const std::string good_handshake = "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

task<> echo_messages(websocket& ws) {
    for (;;) {
        std::optional<http::websocket_message> m = co_await ws.read();
        if (!m) co_return;
        co_await ws.send(std::move(m->data));
    }
}

/// A server whose only handler accepts with `handler`.
template <class H>
auto accepting(H handler, websocket_options options = {}) {
    return [handler, options](const http::request& q) -> task<http::response> { co_return websocket::accept(q, handler, options); };
}

std::string websocket_url_of(const http::server& hs) {
    return "ws" + hs.url("/chat").substr(4);
}

/// How a handshake fails that is answered with this.
task<std::string> handshake_failure(std::string answer, websocket_options options = {}) {
    auto ends = testing::memory_stream_pair();
    co_await ends.b.write(std::string_view(answer));
    co_await ends.b.shutdown_write();
    auto shaking = http::websocket_handshake(any_stream(std::move(ends.a)), "a.example", "/", options);
    co_return co_await words::ending(std::move(shaking));
}

} // namespace

EDDY_TEST("a server that echoes, and a client") {
    http::server hs{accepting(&echo_messages)};
    co_await hs.listen({"127.0.0.1", 0});
    websocket ws = co_await http::websocket_connect(websocket_url_of(hs));
    co_await ws.send("hello");
    const std::optional<http::websocket_message> first = co_await ws.read();
    CHECK(first.value().data == "hello");
    const std::string large(1'000'000, 'x');
    auto sends = spawn([&]() -> task<> { co_await ws.send(large); });
    const std::optional<http::websocket_message> second = co_await ws.read();
    co_await sends;
    CHECK(second.value().data == large);
    co_await ws.close();
    CHECK(ws.close_code() == 1000);
    co_await hs.shutdown(5s);
}

EDDY_TEST("the handshake on the wire, with a message right behind it") {
    http::server hs{accepting(&echo_messages, {.subprotocols = "b, a"})};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(good_handshake + "Sec-WebSocket-Protocol: a, b\r\n\r\n" + client_frame(op::text, "early") + client_frame(op::close, ""));
    const std::string got = co_await c.read_to_end();
    CHECK(status_line(got) == "HTTP/1.1 101 Switching Protocols");
    CHECK(got.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != std::string::npos);
    CHECK(got.find("Sec-WebSocket-Protocol: b\r\n") != std::string::npos);
    CHECK(got.find("Upgrade: websocket\r\n") != std::string::npos);
    CHECK(got.find("Connection: Upgrade\r\n") != std::string::npos);
    CHECK(transcript(body_of(got), false) == "text(early) close(1005)");
    co_await hs.shutdown(5s);
}

EDDY_TEST("what is no handshake gets an ordinary answer") {
    http::server hs{accepting(&echo_messages)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response plain = co_await hc.get(hs.url());
    CHECK(plain.status == 426);
    CHECK(plain.header("Upgrade") == "websocket");
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(good_handshake + "Origin: https://evil.example\r\n\r\n");
    const std::string refused = co_await c.read_until("connect");
    CHECK(status_line(refused) == "HTTP/1.1 403 Forbidden");
    hc.close();
    co_await c.stream().close();
    co_await hs.shutdown(5s);
}

EDDY_TEST("a handler that returns closes with 1000, one that throws with 1011, and is reported") {
    const words::reports reported;
    http::server hs{accepting([](websocket& ws) -> task<> {
        const std::optional<http::websocket_message> m = co_await ws.read();
        if (m && m->data == "throw") throw std::runtime_error("handler failed");
    })};
    co_await hs.listen({"127.0.0.1", 0});
    websocket returns = co_await http::websocket_connect(websocket_url_of(hs));
    co_await returns.send("x");
    const std::string ended = co_await read_messages(returns);
    CHECK(ended == "closed(1000)");
    websocket throws = co_await http::websocket_connect(websocket_url_of(hs));
    co_await throws.send("throw");
    const std::string failed = co_await read_messages(throws);
    CHECK(failed == "closed(1011)");
    co_await hs.shutdown(5s);
    CHECK(reported.text().find("handler failed") != std::string::npos);
}

EDDY_TEST("at shutdown the clients are told 1001") {
    http::server hs{accepting(&echo_messages)};
    co_await hs.listen({"127.0.0.1", 0});
    websocket ws = co_await http::websocket_connect(websocket_url_of(hs));
    co_await ws.send("hi");
    const std::optional<http::websocket_message> m = co_await ws.read();
    CHECK(m.has_value());
    auto reads = spawn([&]() -> task<std::string> { return read_messages(ws); });
    co_await hs.shutdown(5s);
    const std::string ending = co_await reads;
    CHECK(ending == "closed(1001)");
}

EDDY_TEST("connections whose clients are gone without a word end, be the handler one that reads or one that writes") {
    http_tests::reported problems;
    const auto writes = [](websocket& ws) -> task<> {
        const std::string large(1'000'000, 'x');
        for (;;) co_await ws.send(large);
    };
    http::router routes;
    routes.get("/reads", accepting(&echo_messages));
    routes.get("/writes", accepting(writes));
    http::server hs{std::move(routes)};
    co_await hs.listen({"127.0.0.1", 0});
    for (const char* const path : {"/reads", "/writes"}) {
        raw_connection c = co_await raw_connection::open(hs.port());
        std::string asked = good_handshake;
        asked.replace(4, 5, path);
        co_await c.send(asked + "\r\n");
        const std::string head = co_await c.read_until("\r\n\r\n");
        CHECK(http_tests::status_line(head) == "HTTP/1.1 101 Switching Protocols");
        CHECK(hs.connections() == 1);
        const auto start = loop_clock::now();
        while (hs.connections() > 0 && loop_clock::now() - start < 100s) co_await sleep_for(1s);
        CHECK(hs.connections() == 0);
    }
    CHECK(problems.messages.empty());
    co_await hs.shutdown(5s);
}

EDDY_TEST("a client says what it wants, and takes what came with the answer") {
    auto ends = testing::memory_stream_pair();
    const std::vector<http::header> more{{"Authorization", "Bearer x"}};
    auto answering = spawn([&]() -> task<std::string> {
        return answer_handshake(ends.b, "Sec-WebSocket-Protocol: two\r\n", server_frame(op::text, "early") + server_frame(op::ping, "p"));
    });
    websocket ws = co_await http::websocket_handshake(any_stream(std::move(ends.a)), "a.example:81", "/chat?x", {.subprotocols = "one, two", .headers = more});
    const std::string asked = co_await answering;
    CHECK(asked.starts_with("GET /chat?x HTTP/1.1\r\nHost: a.example:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
    CHECK(asked.find("Sec-WebSocket-Protocol: one, two\r\nAuthorization: Bearer x\r\n\r\n") != std::string::npos);
    CHECK(ws.subprotocol() == "two");
    const std::optional<http::websocket_message> m = co_await ws.read();
    CHECK(m.value().data == "early");
}

EDDY_TEST("answers that are no handshake are errors that say why") {
    const std::string start = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    const std::string wrong = "GET a.example/ failed: invalid response: the answer to the WebSocket handshake is wrong: ";
    const std::string not_found = co_await handshake_failure("HTTP/1.1 404 Not Found\r\n\r\n");
    CHECK(not_found == "GET a.example/ failed: unexpected status: the WebSocket handshake was answered with 404 Not Found");
    const std::string other = co_await handshake_failure("SSH-2.0-x\r\n\r\n");
    CHECK(other == wrong + "it is not HTTP/1.1");
    const std::string no_upgrade = co_await handshake_failure("HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n");
    CHECK(no_upgrade == wrong + "no upgrade to websocket");
    const std::string no_key = co_await handshake_failure(start + "\r\n");
    CHECK(no_key == wrong + "its Sec-WebSocket-Accept is not for our key");
    const std::string bad_key = co_await handshake_failure(start + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    CHECK(bad_key == wrong + "its Sec-WebSocket-Accept is not for our key");
    const std::string no_header = co_await handshake_failure(start + "no header\r\n\r\n");
    CHECK(no_header == wrong + "a line of it is not a header");
    const std::string half = co_await handshake_failure("HTTP/1.1 101 ");
    CHECK(half == "GET a.example/ failed: disconnected: in the WebSocket handshake");
    const std::string large = co_await handshake_failure(start + "X: " + std::string(40'000, 'x'));
    CHECK(large == "GET a.example/ failed: response too large: the answer to the WebSocket handshake");
}

EDDY_TEST("a server may choose only what the client offered, and no extension") {
    const std::array<std::string, 2> extras{"Sec-WebSocket-Protocol: other\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"};
    std::string seen;
    for (const std::string& extra : extras) {
        auto ends = testing::memory_stream_pair();
        auto answering = spawn([&]() -> task<std::string> { return answer_handshake(ends.b, extra); });
        auto shaking = http::websocket_handshake(any_stream(std::move(ends.a)), "a.example", "/", {.subprotocols = "one"});
        const std::string ending = co_await words::ending(std::move(shaking));
        seen += ending.substr(ending.rfind(':')) + ";";
        const std::string asked = co_await answering;
        CHECK(asked.starts_with("GET / "));
    }
    CHECK(seen == ": a subprotocol that we did not ask for;: an extension that we did not ask for;");
}

EDDY_TEST("a handshake that is not answered ends after its time") {
    auto ends = testing::memory_stream_pair();
    auto shaking = http::websocket_handshake(any_stream(std::move(ends.a)), "a.example", "/", {.handshake_timeout = 3s});
    const std::string ending = co_await words::ending(std::move(shaking));
    CHECK(ending.find("WebSocket handshake with a.example/") != std::string::npos);
    const std::string asked = co_await read_rest(ends.b); // it was closed
    CHECK(asked.starts_with("GET / HTTP/1.1\r\n"));
}

EDDY_TEST("what cannot be asked for is refused by the call") {
    const std::vector<http::header> host{{"Host", "b.example"}};
    const std::vector<http::header> key{{"sec-websocket-key", "x"}};
    CHECK(words::throws<std::invalid_argument>([&] { return http::websocket_connect("ws://a/", {.headers = host}); }));
    CHECK(words::throws<std::invalid_argument>([&] { return http::websocket_connect("ws://a/", {.headers = key}); }));
    CHECK(words::throws<std::invalid_argument>([&] { return http::websocket_connect("ws://a/", {.subprotocols = "a b"}); }));
    CHECK(words::throws<std::invalid_argument>([&] { return http::websocket_connect("http://a/"); }));
    CHECK(words::throws<std::invalid_argument>([&] { return http::websocket_handshake(any_stream(testing::memory_stream()), "a\r\nX: y", "/"); }));
    CHECK(words::throws<std::invalid_argument>([&] { return http::websocket_handshake(any_stream(testing::memory_stream()), "a", "x"); }));
    co_return;
}
