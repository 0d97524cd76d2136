// wss://: websockets over TLS, where the component tls is built as well.
#include "http/websocket_support.hpp"

#if __has_include(<eddy/tls.hpp>)

#include <eddy/tls.hpp>

#include "tls/certificates.hpp"

using namespace websocket_tests;

namespace {

task<http::response> echo_over_tls(http::request q) {
    co_return http::websocket::accept(q, [](http::websocket& ws) -> task<> {
        while (auto message = co_await ws.read()) co_await ws.send(message->data);
    });
}

tls_context trusting_the_tests() {
    tls_context c = tls_context::client(tls_trust::nobody);
    c.trust_pem(tls_tests::authority().certificate);
    return c;
}

void speak_tls(http::server& hs) {
    const tls_context context = tls_context::server_pem(tls_tests::localhost().certificate, tls_tests::localhost().key);
    hs.wrap([context](tcp_stream s) { return tls_accept(std::move(s), context); });
}

std::string secure_url(const http::server& hs, const std::string& host) {
    return "wss://" + host + ":" + std::to_string(hs.port()) + "/chat";
}

/// "connected", or the error of the connect.
task<std::string> ending_of_connect(std::string url, tls_context context) {
    try {
        websocket ws = co_await http::websocket_connect(std::move(url), context);
        co_return "connected";
    } catch (const tls_error& e) {
        co_return std::string("tls_error: ") + e.what();
    } catch (const timeout_error& e) {
        co_return std::string("timeout: ") + e.what();
    }
}

} // namespace

EDDY_TEST("wss:// goes over TLS, with the context that is given") {
    http::server hs{echo_over_tls};
    speak_tls(hs);
    co_await hs.listen({"127.0.0.1", 0});
    const tls_context context = trusting_the_tests();
    for (const char* const host : {"127.0.0.1", "localhost"}) {
        websocket ws = co_await http::websocket_connect(secure_url(hs, host), context);
        co_await ws.send("hello");
        const auto answer = co_await ws.read();
        REQUIRE(answer);
        CHECK(answer->data == "hello");
        co_await ws.close();
        CHECK(ws.close_code() == 1000);
    }
    co_await hs.shutdown(5s);
}

EDDY_TEST("wss:// to a server that nobody trusts is a tls_error") {
    http::server hs{echo_over_tls};
    speak_tls(hs);
    co_await hs.listen({"127.0.0.1", 0});
    const std::string ending = co_await ending_of_connect(secure_url(hs, "127.0.0.1"), tls_context::client(tls_trust::nobody));
    CHECK(ending.starts_with("tls_error: "));
    co_await hs.shutdown(5s);
}

EDDY_TEST("wss:// the time limit of the handshake includes that of TLS") {
    tcp_listener silent = tcp_listener::bind({"127.0.0.1", 0});
    const std::string url = "wss://127.0.0.1:" + std::to_string(silent.local_endpoint().port()) + "/";
    const auto start = loop_clock::now();
    const std::string ending = co_await ending_of_connect(url, trusting_the_tests());
    CHECK(ending.starts_with("timeout: "));
    CHECK(ending.find(url) != std::string::npos);
    const bool the_websockets_limit = loop_clock::now() - start < 60s;
    CHECK(the_websockets_limit);
}

EDDY_TEST("with a context, too, the URL decides: ws:// is plain") {
    http::server hs{echo_over_tls};
    co_await hs.listen({"127.0.0.1", 0});
    websocket ws = co_await http::websocket_connect("ws://127.0.0.1:" + std::to_string(hs.port()) + "/", trusting_the_tests());
    co_await ws.send("plain");
    const auto answer = co_await ws.read();
    REQUIRE(answer);
    CHECK(answer->data == "plain");
    co_await ws.close();
    co_await hs.shutdown(5s);
}

EDDY_TEST("wss:// cancelled while it shakes hands, no connection is left") {
    tcp_listener listener = tcp_listener::bind({"127.0.0.1", 0});
    const std::string url = "wss://127.0.0.1:" + std::to_string(listener.local_endpoint().port()) + "/";
    auto connecting = spawn(http::websocket_connect(url, trusting_the_tests()));
    raw_connection peer(co_await listener.accept());
    co_await peer.read_until("\x16"); // the type of the record that begins it
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
    co_await peer.read_to_end(); // and it does end
}

#endif

using namespace websocket_tests;

EDDY_TEST("wss:// without a context is refused by the call") {
    std::string refusal;
    try {
        static_cast<void>(http::websocket_connect("wss://localhost/"));
    } catch (const std::invalid_argument& e) {
        refusal = e.what();
    }
    CHECK(refusal.find("tls_context") != std::string::npos);
    co_return;
}
