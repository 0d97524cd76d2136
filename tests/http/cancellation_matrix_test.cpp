// The awaitables of http that are not covered elsewhere in the cancellation matrix: those of websockets.
#include "lib/cancellation_matrix.hpp"

#include "http/websocket_support.hpp"

#include <optional>

#if __has_include(<eddy/tls.hpp>)
#include <eddy/tls.hpp>

#include "tls/certificates.hpp"
#endif

using namespace websocket_tests;
using matrix::promise_of;
using matrix::subject;

namespace {

/// Reads all there is, until it ends somehow.
task<> drain_bare(testing::memory_stream s) {
    for (;;) {
        const auto part = co_await as_result(read_some_text(s));
        if (!part || part->empty()) co_return;
    }
}

class of_a_websocket : public subject {
protected:
    std::optional<bare_pair> pair_;
    task<> prepare() override {
        pair_.emplace(websocket_side::server, websocket_options{}, testing::memory_stream_options{.capacity = 4096});
        co_return;
    }
    /// Leaves no room for a byte.
    task<> fill_up() {
        const std::string filling(4096 - 4, 'x');
        co_await pair_->ws.send(filling);
    }
    void make_room() {
        if (pair_->peer.is_open()) spawn(drain_bare(std::move(pair_->peer)));
    }
};
class websocket_reads final : public of_a_websocket {
    task<> await_it() override { static_cast<void>(co_await pair_->ws.read()); }
    void complete() override {
        spawn([](testing::memory_stream& peer) -> task<> { co_await peer.write(client_frame(websocket_opcode::text, "x")); }, std::ref(pair_->peer));
    }
};
class websocket_writes : public of_a_websocket {
protected:
    task<> prepare() override {
        co_await of_a_websocket::prepare();
        co_await fill_up();
    }
    void complete() override { make_room(); }
};
class websocket_sends final : public websocket_writes {
    task<> await_it() override { co_await pair_->ws.send("one more"); }
};
class websocket_sends_binary final : public websocket_writes {
    task<> await_it() override { co_await pair_->ws.send_binary(bytes_of("one more")); }
};
class websocket_pings final : public websocket_writes {
    task<> await_it() override { co_await pair_->ws.ping("one more"); }
};
class websocket_closes final : public of_a_websocket {
    task<> await_it() override { co_await pair_->ws.close(); }
    void complete() override {}
};
/// A new pair of streams for each await.
class websocket_shakes_hands final : public subject {
    std::optional<testing::memory_streams> ends_;
    task<> await_it() override {
        ends_.emplace(testing::memory_stream_pair());
        websocket ws = co_await http::websocket_handshake(any_stream(std::move(ends_->a)), "a.example", "/");
    }
    void complete() override {
        spawn([](testing::memory_stream peer) -> task<> {
            auto answering = answer_handshake(peer);
            static_cast<void>(co_await as_result(std::move(answering)));
        }, std::move(ends_->b));
    }
};
/// A new listener for each await: one that was cancelled may have asked already.
class websocket_connects final : public subject {
    std::optional<tcp_listener> l_;
    task<> await_it() override {
        l_ = tcp_listener::bind({"127.0.0.1", 0});
        websocket ws = co_await http::websocket_connect("ws://127.0.0.1:" + std::to_string(l_->local_endpoint().port()) + "/");
    }
    task<> until_it_waits() override {
        for (int i = 0; i < 200; ++i) co_await this_task::yield();
    }
    void complete() override {
        spawn([](tcp_listener from) -> task<> {
            tcp_stream s = co_await from.accept();
            auto answering = answer_handshake(s);
            static_cast<void>(co_await as_result(std::move(answering)));
        }, std::move(*l_));
    }
};

#if __has_include(<eddy/tls.hpp>)

/// The same with TLS first, in whose handshake it waits.
class websocket_connects_over_tls final : public subject {
    std::optional<tcp_listener> l_;
    task<> await_it() override {
        l_ = tcp_listener::bind({"127.0.0.1", 0});
        tls_context trusting = tls_context::client(tls_trust::nobody);
        trusting.trust_pem(tls_tests::authority().certificate);
        websocket ws = co_await http::websocket_connect("wss://127.0.0.1:" + std::to_string(l_->local_endpoint().port()) + "/", trusting);
    }
    task<> until_it_waits() override {
        for (int i = 0; i < 200; ++i) co_await this_task::yield();
    }
    void complete() override { spawn(answer_over_tls(std::move(*l_))); }
    static task<> answer_over_tls(tcp_listener from) {
        tcp_stream plain = co_await from.accept();
        const tls_context ours = tls_context::server_pem(tls_tests::localhost().certificate, tls_tests::localhost().key);
        outcome<tls_stream> s = co_await as_result(tls_accept(std::move(plain), ours));
        if (!s) co_return; // the client was cancelled
        auto answering = answer_handshake(*s);
        static_cast<void>(co_await as_result(std::move(answering)));
    }
};

#endif

const std::vector<matrix::row>& rows() {
    using matrix::of;
    constexpr promise_of by_turns{.at_once = false};
    static const std::vector<matrix::row> all{
        of<websocket_reads>("", "websocket::read", by_turns),
        of<websocket_sends>("", "websocket::send", by_turns),
        of<websocket_sends_binary>("", "websocket::send_binary", by_turns),
        of<websocket_pings>("", "websocket::ping", by_turns),
        of<websocket_closes>("", "websocket::close", {.waits = false, .again = false}), // R13
        of<websocket_shakes_hands>("", "websocket_handshake", by_turns),
        of<websocket_connects>("", "websocket_connect", by_turns),
#if __has_include(<eddy/tls.hpp>)
        of<websocket_connects_over_tls>("", "websocket_connect over TLS", by_turns),
#endif
    };
    return all;
}

} // namespace

#include "lib/cancellation_matrix_tests.hpp"
