#include <eddy/http/websocket.hpp>

#include <eddy/http/error.hpp>
#include <eddy/tcp.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include <array>
#include <exception>
#include <stdexcept>

#include "websocket_frame.hpp"
#include "websocket_handshake.hpp"
#include "websocket_link.hpp"

namespace eddy::http {

using detail::websocket_link;
using detail::websocket_opcode;

websocket::websocket(std::shared_ptr<websocket_link> l) noexcept : link_(std::move(l)) {}
websocket::~websocket() {
    if (link_) link_->abort();
}

const std::shared_ptr<websocket_link>& websocket::link() const {
    if (!link_) throw closed_resource("this WebSocket is empty (it was moved from)");
    return link_;
}

task<std::optional<websocket_message>> websocket::read() {
    return websocket_link::read(link());
}
task<> websocket::send(std::string_view text) {
    return websocket_link::send(link(), websocket_opcode::text, bytes_of(text));
}
task<> websocket::send(std::string&& text) {
    return websocket_link::send_kept(link(), websocket_opcode::text, std::move(text));
}
task<> websocket::send_binary(std::span<const std::byte> bytes) {
    return websocket_link::send(link(), websocket_opcode::binary, bytes);
}
task<> websocket::ping(std::string_view payload) {
    if (payload.size() > detail::longest_control_payload)
        throw std::invalid_argument("a ping carries at most 125 bytes, not " + std::to_string(payload.size()));
    return websocket_link::send_kept(link(), websocket_opcode::ping, std::string(payload));
}
task<> websocket::close(std::uint16_t code, std::string_view reason) {
    if (!detail::is_close_code(code)) throw std::invalid_argument("a WebSocket cannot be closed with the code " + std::to_string(code));
    if (reason.size() > detail::longest_control_payload - 2 || !detail::is_utf8(reason))
        throw std::invalid_argument("the reason to close a WebSocket is UTF-8 of at most 123 bytes");
    std::string payload{static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
    payload += reason;
    return websocket_link::close(link_, std::move(payload));
}
void websocket::abort() noexcept {
    if (link_) link_->abort();
}
bool websocket::is_open() const noexcept {
    return link_ && link_->is_open();
}
const std::string& websocket::subprotocol() const {
    return link()->subprotocol();
}
std::uint16_t websocket::close_code() const {
    return link()->close_code();
}
const std::string& websocket::close_reason() const {
    return link()->close_reason();
}
std::uint64_t websocket::pongs() const {
    return link()->pongs();
}

// --- server

namespace {

using namespace std::chrono_literals;

/// What is known of a websocket before its stream is there.
class accepted_websocket {
public:
    accepted_websocket(detail::websocket_handler h, std::string from, std::string protocol, const websocket_options& o)
        : handler(std::move(h)), peer(std::move(from)), subprotocol(std::move(protocol)), options(o) {
        options.subprotocols = options.origins = {}; // they are the caller's
        options.headers = {};
    }
    detail::websocket_handler handler;
    std::string peer;
    std::string subprotocol;
    websocket_options options;
};

task<> run_websocket(any_stream stream, std::shared_ptr<const accepted_websocket> a) {
    constexpr auto side = detail::websocket_side::server;
    const auto link = std::make_shared<websocket_link>(std::move(stream), side, a->peer, a->subprotocol, a->options);
    websocket ws(link);
    std::exception_ptr failure;
    std::uint16_t code = detail::close_codes::normal;
    try {
        co_await a->handler(ws);
    } catch (const operation_cancelled&) {
        failure = std::current_exception();
    } catch (...) {
        failure = std::current_exception();
        code = detail::close_codes::internal_error;
    }
    if (this_task::cancel_requested()) {
        const auto farewell = [&ws](cancel_scope&) { return ws.close(detail::close_codes::going_away); };
        const std::chrono::nanoseconds limit = a->options.close_timeout.count() > 0 ? a->options.close_timeout : 10s;
        co_await with_shield(limit, farewell);
    } else {
        co_await ws.close(code);
    }
    if (failure && !link->is_own(failure)) std::rethrow_exception(failure); // else it is the client's
}

} // namespace

response websocket::accept_with(const request& q, detail::websocket_handler handler, const websocket_options& options) {
    detail::require_subprotocols(options.subprotocols);
    if (std::optional<response> refusal = detail::refuse_websocket(q, options.origins)) return std::move(*refusal);
    std::string subprotocol = detail::choose_subprotocol(q.headers, options.subprotocols);
    std::string peer = q.remote == ip_endpoint() ? "a client" : q.remote.to_string();
    auto a = std::make_shared<const accepted_websocket>(std::move(handler), std::move(peer), subprotocol, options);
    const auto run = [a](any_stream stream) { return run_websocket(std::move(stream), a); };
    response r = response::upgrade("websocket", run);
    r.set("Sec-WebSocket-Accept", detail::websocket_accept_key(q.header("Sec-WebSocket-Key")));
    if (!subprotocol.empty()) r.set("Sec-WebSocket-Protocol", subprotocol);
    return r;
}

// --- client

namespace {

constexpr std::size_t longest_answer = 32 * 1024;
constexpr std::size_t answer_part = 4096; // no more than a link takes over

/// A handshake of the client's side, with copies of all it needs.
class websocket_client {
public:
    websocket_client(std::string u, std::string_view authority, std::string_view target, const websocket_options& o)
        : url(std::move(u)),
          key(detail::new_websocket_key()),
          request(detail::websocket_request(authority, target, key, o.subprotocols, o.headers)),
          subprotocols(o.subprotocols),
          options(o) {
        options.subprotocols = options.origins = {};
        options.headers = {};
    }
    [[nodiscard]] task<> connect();
    [[nodiscard]] task<websocket> shake_hands();
    [[nodiscard]] task<std::size_t> read_head(std::string& received);

    std::string url;
    std::string key;
    std::string request;
    std::string subprotocols;
    websocket_options options;
    std::string host; // to connect to, if there is no stream yet
    std::uint16_t port = 0;
    detail::tls_function start_tls; // for wss://
    any_stream stream;
};

/// Until the head of the answer is there; how long it is.
task<std::size_t> websocket_client::read_head(std::string& received) {
    std::array<std::byte, answer_part> buffer{};
    const std::span<std::byte> space(buffer);
    for (;;) {
        const std::size_t end = detail::head_end(received);
        if (end != std::string::npos && end <= longest_answer) co_return end;
        if (received.size() > longest_answer) throw error(error_kind::too_large, "GET", url, "the answer to the WebSocket handshake");
        const std::size_t n = co_await stream.read_some(space);
        if (n == 0) throw error(error_kind::disconnected, "GET", url, "in the WebSocket handshake");
        received.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
}

task<> websocket_client::connect() {
    tcp_stream connected = co_await tcp_connect(host, port);
    if (!start_tls) {
        stream = any_stream(std::move(connected));
        co_return;
    }
    task<any_stream> starting = start_tls(std::move(connected), host);
    stream = co_await std::move(starting);
}

task<websocket> websocket_client::shake_hands() {
    if (!host.empty()) co_await connect();
    co_await stream.write(std::string_view(request));
    std::string received;
    const std::size_t end = co_await read_head(received);
    std::string subprotocol = detail::check_websocket_answer(std::string_view(received).substr(0, end), key, subprotocols, url);
    constexpr auto side = detail::websocket_side::client;
    auto link = std::make_shared<websocket_link>(std::move(stream), side, url, std::move(subprotocol), options);
    link->received(std::string_view(received).substr(end));
    co_return websocket(std::move(link));
}

task<websocket> shake_hands_within(std::unique_ptr<websocket_client> client, std::source_location site) {
    const std::chrono::nanoseconds limit = client->options.handshake_timeout;
    if (limit.count() <= 0) {
        websocket unlimited = co_await client->shake_hands();
        co_return unlimited;
    }
    const auto body = [&client](cancel_scope&) { return client->shake_hands(); };
    std::optional<websocket> made = co_await move_on_after(limit, body);
    if (!made) throw timeout_error(limit, site, "WebSocket handshake with " + client->url);
    co_return std::move(*made);
}

} // namespace

task<websocket> websocket_connect(std::string url, websocket_options options, std::source_location site) {
    return detail::connect_websocket(std::move(url), {}, options, site);
}

task<websocket> detail::connect_websocket(std::string url, tls_function start_tls, websocket_options options, std::source_location site) {
    const websocket_url parts(url);
    if (parts.secure && !start_tls) throw_bad_websocket_url(url, "wss:// needs a tls_context, as the second argument");
    auto client = std::make_unique<websocket_client>(std::move(url), parts.authority, parts.target, options);
    client->host = parts.host;
    client->port = parts.port;
    if (parts.secure) client->start_tls = std::move(start_tls);
    return shake_hands_within(std::move(client), site);
}

task<websocket> websocket_handshake(any_stream stream, std::string host, std::string target, websocket_options options,
                                    std::source_location site) {
    auto client = std::make_unique<websocket_client>(host + target, host, target, options);
    client->stream = std::move(stream);
    return shake_hands_within(std::move(client), site);
}

} // namespace eddy::http
