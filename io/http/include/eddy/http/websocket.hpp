// websocket: messages in both directions over one connection (RFC 6455), as a server and as a client.
//
//     http::server hs{[](http::request q) -> task<http::response> {                   // or a route of a router
//         co_return http::websocket::accept(q, [](http::websocket& ws) -> task<> {
//             while (auto message = co_await ws.read()) co_await ws.send(message->data);
//         });
//     }};
//
//     http::websocket ws = co_await http::websocket_connect("ws://localhost:8080/chat");
//     co_await ws.send("hello");
//     std::optional<http::websocket_message> answer = co_await ws.read();              // nullopt: the peer has closed
//     co_await ws.close();
//
// Only what comes in while a `read` waits is looked at: pings are answered there, and there a close of the peer is noticed, or that it
// is gone. Who only sends, too, should have a task that reads, or the peer's pings have no answer, and it gives up. No
// extensions, so no compression. wss:// goes over TLS by a `tls_context`, of the component tls:
//
//     http::websocket ws = co_await http::websocket_connect("wss://localhost/chat", tls_context::client());
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/any_stream.hpp>
#include <eddy/detail/function.hpp>
#include <eddy/errors.hpp>
#include <eddy/http/headers.hpp>
#include <eddy/http/message.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>

namespace eddy::http {

class websocket;

namespace detail {
class websocket_link;
using websocket_handler = eddy::detail::unique_function<task<>(websocket&)>;
/// Lays TLS over a connection to that host.
using tls_function = eddy::detail::unique_function<task<any_stream>(tcp_stream, std::string)>;

// The component tls is not needed for this: `tls_upgrade` is looked up where the template is used.
template <class C>
concept tls_client_context = std::copy_constructible<C> && requires(C& context, tcp_stream s, std::string host) {
    tls_upgrade(std::move(s), context, std::move(host));
};

template <class Context>
class tls_starter {
public:
    explicit tls_starter(Context c) : context_(std::move(c)) {}
    task<any_stream> operator()(tcp_stream s, std::string host) {
        auto upgrading = tls_upgrade(std::move(s), context_, std::move(host));
        co_return any_stream(co_await std::move(upgrading));
    }

private:
    Context context_;
};
} // namespace detail

/// The texts and headers are copied by the call that takes the options. A time or number of 0: no limit.
struct websocket_options {
    std::size_t max_message = std::size_t{16} << 20;                // bytes of a message that comes in; beyond: closed with 1009
    std::chrono::nanoseconds close_timeout = std::chrono::seconds(10); // for the peer's part of closing
    /// A ping is sent when a `read` has waited and nothing has come for so long; 0: never, and a peer that is gone without a word
    /// is waited for. If `pong_timeout` later still nothing has come, the connection is given up.
    std::chrono::nanoseconds ping_interval = std::chrono::seconds(20);
    std::chrono::nanoseconds pong_timeout = std::chrono::seconds(20);
    /// For the peer to take 64 KiB of what is sent; then the connection is given up.
    std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);
    std::chrono::nanoseconds handshake_timeout = std::chrono::seconds(30); // client: with connecting, if that is ours to do
    std::string_view subprotocols = {};     // "chat.v2, chat.v1": what we speak, the best first
    /// Server: whose pages may connect, "https://a.example, https://b.example"; "*": all. Default: those of the host that the
    /// request names. Browsers send their cookies along with every page's handshakes, so "*" is for who looks at Origin itself, or
    /// does without cookies. What sends no Origin is no browser, and may connect.
    std::string_view origins = {};
    std::span<const header> headers = {};   // client: more for the handshake, as Authorization or Cookie
};

static_assert(std::is_trivially_destructible_v<websocket_options>); // it is written into co_await expressions (trap T1)

class websocket_message {
public:
    websocket_message(bool text, std::string content) noexcept : data(std::move(content)), is_text(text) {}
    std::string data;
    bool is_text; // it is UTF-8 then; else bytes
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_of(data); }
};

/// The connection is over because of what the peer did. `what()` names it and the reason. A `broken_resource`.
class websocket_error : public broken_resource {
public:
    websocket_error(std::uint16_t code, const std::string& text) : broken_resource(text), code_(code) {}
    /// With which it was closed: 1002 for what is not WebSocket, 1007 for a text that is not UTF-8, 1009 for a message beyond
    /// `max_message`; 1006, which is never sent: it has ended without a close frame, gave no sign of life, or took too long to take
    /// what was sent.
    [[nodiscard]] std::uint16_t code() const noexcept { return code_; }

private:
    std::uint16_t code_;
};

/// A connection. Move-only; loop thread only. One task may read while others write. Writes queue first come first served and
/// are never torn.
class websocket {
public:
    /// The answer of a server's handler to `q`: 101, and then `handler(websocket&)`, which returns a `task<>`, in the task of
    /// the connection. When it returns, the websocket is closed with 1000; when it throws, with 1011, and the exception goes on; when it
    /// is cancelled, as by `server::shutdown`, with 1001, for at most `close_timeout` or 10 s and in a shield.
    /// If `q` is no handshake: 405, 426 or 400, if its page may not connect: 403. Throws `std::invalid_argument` for subprotocols
    /// that are no list of tokens.
    template <class H>
        requires std::is_invocable_r_v<task<>, std::decay_t<H>&, websocket&>
    [[nodiscard]] static response accept(const request& q, H&& handler, const websocket_options& options = {}) {
        return accept_with(q, detail::websocket_handler(std::forward<H>(handler)), options);
    }

    websocket() noexcept = default;
    websocket(websocket&&) noexcept = default;
    websocket& operator=(websocket o) noexcept {
        std::swap(link_, o.link_);
        return *this;
    }
    /// Aborts the stream if it is open. Whoever waits gets `closed_resource`.
    ~websocket();

    /// Awaitable: the next message, or nullopt when the peer has closed: that is answered, and the stream closed, before it returns.
    /// Pings are answered by a task of the loop's root group, so that a read never waits for room to write. Checkpoint; cancelled,
    /// nothing is lost: the next read goes on in the middle of the message (R4). One read at a time (`busy_resource`).
    /// Throws `websocket_error`, after it has told the peer and closed the stream; what the stream below throws; `closed_resource`
    /// after or on a close on our side, unless the peer has closed as well.
    task<std::optional<websocket_message>> read();

    /// Awaitable: until the stream has taken all of it. The text stays the caller's until then; a string that goes, a temporary, is
    /// kept by the task. Checkpoint; cancelled before its turn, or before the stream took a byte, nothing was sent; after that,
    /// later writes throw `broken_resource`, because a frame cannot be taken back, and `partial()` is how many bytes had gone down,
    /// its head included. Throws `std::invalid_argument` for what is not UTF-8, `closed_resource` after a close on our side,
    /// `broken_resource` after one of the peer's, `websocket_error` (1006) if the peer takes longer than `write_timeout` for 64 KiB,
    /// which resets the connection and ends a read that waits in the same way; what the stream below throws.
    task<> send(std::string_view text);
    task<> send(const char* text) { return send(std::string_view(text)); }
    task<> send(std::string&& text);
    /// The same for bytes, which may be any.
    task<> send_binary(std::span<const std::byte> bytes);
    /// Awaitable: sends a ping; its pong is counted by a read. As `send`; the payload is kept. The call itself throws
    /// `std::invalid_argument` for more than 125 bytes.
    task<> ping(std::string_view payload = {});

    /// Awaitable: says that we close, after the writes that are queued, waits for the same from the peer, for at most `close_timeout`, and
    /// closes the stream. Messages that come meanwhile go to a read that waits; without one they are dropped. In a task that was
    /// cancelled before, it closes the stream at once and then throws (R13); cancelled meanwhile, it stops waiting, closes, and returns.
    /// Twice does no harm; a peer that is gone is no error. The call itself throws `std::invalid_argument` for a code that must not be
    /// sent (1000 to 1003, 1007 to 1014 and 3000 to 4999 may), and for a reason of more than 123 bytes or not in UTF-8.
    task<> close(std::uint16_t code = 1000, std::string_view reason = {});
    /// Drops what was not sent yet; TCP is reset.
    void abort() noexcept;

    [[nodiscard]] bool is_open() const noexcept;
    /// What the handshake has chosen of `websocket_options::subprotocols`; empty if nothing. Throws `closed_resource` for a websocket
    /// that is empty, as the next three.
    [[nodiscard]] const std::string& subprotocol() const;
    /// What the peer's close frame said; 1005: it had no code; 1006: the end came without one. 0 before that.
    [[nodiscard]] std::uint16_t close_code() const;
    [[nodiscard]] const std::string& close_reason() const;
    /// How many pongs have come.
    [[nodiscard]] std::uint64_t pongs() const;

    explicit websocket(std::shared_ptr<detail::websocket_link> l) noexcept; // for the library

private:
    [[nodiscard]] static response accept_with(const request& q, detail::websocket_handler handler, const websocket_options& options);
    [[nodiscard]] const std::shared_ptr<detail::websocket_link>& link() const;
    std::shared_ptr<detail::websocket_link> link_;
};

/// Connects by TCP and shakes hands. Checkpoint; cancelled, no socket is left. Throws what `tcp_connect` throws, `timeout_error` after
/// `handshake_timeout`, `http::error` if the server does not answer as it must: `bad_status` for another status than 101,
/// `protocol`, `too_large` for a head of more than 32 KiB, `disconnected`. The call itself throws `std::invalid_argument` for an URL
/// that is not ws://HOST[:PORT][/TARGET], and for headers that cannot be sent.
task<websocket> websocket_connect(std::string url, websocket_options options = {},
                                  std::source_location site = std::source_location::current());
/// The same, also for wss://HOST[:PORT][/TARGET], which goes over TLS: a `tls_context` for clients, of `<eddy/tls.hpp>`, says who is
/// trusted. The URL decides: ws:// is not encrypted. `handshake_timeout` includes TLS. Throws what `tls_connect` throws, too.
template <detail::tls_client_context Context>
[[nodiscard]] task<websocket> websocket_connect(std::string url, Context context, websocket_options options = {},
                                                std::source_location site = std::source_location::current());
/// The same on a stream that is there. `host` ("a.example", "a.example:8443") and `target` ("/chat") are what the
/// server is asked for. The stream is the websocket's from the call on: closed, whatever happens.
task<websocket> websocket_handshake(any_stream stream, std::string host, std::string target, websocket_options options = {},
                                    std::source_location site = std::source_location::current());

// --- implementation

namespace detail {
[[nodiscard]] task<websocket> connect_websocket(std::string url, tls_function start_tls, websocket_options options, std::source_location site);
} // namespace detail

template <detail::tls_client_context Context>
task<websocket> websocket_connect(std::string url, Context context, websocket_options options, std::source_location site) {
    detail::tls_function start_tls(detail::tls_starter<Context>(std::move(context)));
    return detail::connect_websocket(std::move(url), std::move(start_tls), options, site);
}

} // namespace eddy::http
