// What the WebSocket tests share: frames as bytes and as words, and ends of connections.
#pragma once

#include "http/support.hpp"

#include "../../io/http/src/websocket_frame.hpp"
#include "../../io/http/src/websocket_handshake.hpp"
#include "../../io/http/src/websocket_link.hpp"
#include "lib/words.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace websocket_tests {

using namespace http_tests;
using http::websocket;
using http::websocket_options;
using http::detail::frame_decoder;
using http::detail::frame_head;
using http::detail::mask_key;
using http::detail::websocket_link;
using http::detail::websocket_opcode;
using http::detail::websocket_side;

inline constexpr mask_key test_key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}}; // of the examples in 5.7

inline std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Bytes from numbers.
template <class... Byte>
std::string raw_bytes(Byte... bytes) {
    return {static_cast<char>(bytes)...};
}

/// A frame as a client sends it, and as a server does.
inline std::string client_frame(websocket_opcode opcode, std::string_view payload, bool last = true) {
    std::string masked(payload);
    http::detail::apply_mask(std::as_writable_bytes(std::span(masked)), test_key, 0);
    return text_of(frame_head(opcode, payload.size(), &test_key, last).bytes()) + masked;
}
inline std::string server_frame(websocket_opcode opcode, std::string_view payload, bool last = true) {
    return text_of(frame_head(opcode, payload.size(), nullptr, last).bytes()) + std::string(payload);
}
inline std::string close_payload(unsigned code, std::string_view reason = {}) {
    return raw_bytes(code >> 8U, code & 0xFFU) + std::string(reason);
}

inline std::string short_text(std::string_view s) {
    return s.size() > 40 ? std::to_string(s.size()) + " bytes" : std::string(s);
}

/// What a decoder says next: "text(hi)", "close(1000 bye)"; empty if it needs input.
inline std::string next_event(frame_decoder& d) {
    using event = frame_decoder::event;
    switch (d.next()) {
        case event::needs_input: return {};
        case event::message: {
            const std::string kind = d.message_is_text() ? "text" : "binary";
            return kind + "(" + short_text(d.take_message()) + ")";
        }
        case event::ping: return "ping(" + std::string(d.control_payload()) + ")";
        case event::pong: return "pong(" + std::string(d.control_payload()) + ")";
        case event::close: return "close(" + std::to_string(d.code()) + (d.reason().empty() ? "" : " ") + std::string(d.reason()) + ")";
        case event::violation: return "violation(" + std::to_string(d.code()) + " " + std::string(d.reason()) + ")";
    }
    return "?";
}

/// All it makes of these bytes, which come in pieces of so many.
inline std::string transcript(std::string_view bytes, bool masked, std::size_t piece = 1'000'000, std::size_t max_message = 1'000'000) {
    frame_decoder d(masked, max_message);
    std::string seen;
    while (!bytes.empty()) {
        const std::span<std::byte> room = d.room();
        const std::size_t n = std::min({piece, bytes.size(), room.size()});
        std::copy_n(bytes_of(bytes).begin(), n, room.begin());
        d.received(n);
        bytes.remove_prefix(n);
        for (std::string e = next_event(d); !e.empty(); e = next_event(d)) {
            seen += seen.empty() ? e : " " + e;
            if (e.starts_with("close") || e.starts_with("violation")) return seen;
        }
    }
    return seen;
}

/// A websocket after its handshake.
template <class Stream>
websocket websocket_over(Stream stream, websocket_side side, const websocket_options& options = {}) {
    return websocket(std::make_shared<websocket_link>(any_stream(std::move(stream)), side, "the peer", "", options));
}

/// Two of them, connected in memory.
class websocket_pair {
public:
    explicit websocket_pair(testing::memory_stream_options streams = {}, const websocket_options& options = {})
        : websocket_pair(testing::memory_stream_pair(streams), options) {}
    websocket client;
    websocket server;

private:
    websocket_pair(testing::memory_streams ends, const websocket_options& options)
        : client(websocket_over(std::move(ends.a), websocket_side::client, options)),
          server(websocket_over(std::move(ends.b), websocket_side::server, options)) {}
};

/// One of them, and the bare stream at the other end.
class bare_pair {
public:
    explicit bare_pair(websocket_side side, const websocket_options& options = {}, testing::memory_stream_options streams = {})
        : bare_pair(testing::memory_stream_pair(streams), side, options) {}
    websocket ws;
    testing::memory_stream peer;

private:
    bare_pair(testing::memory_streams ends, websocket_side side, const websocket_options& options)
        : ws(websocket_over(std::move(ends.a), side, options)), peer(std::move(ends.b)) {}
};

/// What is there, up to 64 KiB; empty at the end.
inline task<std::string> read_some_text(testing::memory_stream& s) {
    std::string text(65536, '\0');
    const std::size_t n = co_await s.read_some(std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

/// All that comes until the end.
inline task<std::string> read_rest(testing::memory_stream& s) {
    std::string all;
    for (;;) {
        const std::string part = co_await read_some_text(s);
        if (part.empty()) co_return all;
        all += part;
    }
}

/// All messages, and how it ended: "text(hi) closed(1000)", or the error.
inline task<std::string> read_messages(websocket& ws) {
    std::string seen;
    try {
        for (;;) {
            const std::optional<http::websocket_message> m = co_await ws.read();
            if (!m) break;
            seen += (m->is_text ? "text(" : "binary(") + short_text(m->data) + ") ";
        }
        seen += "closed(" + std::to_string(ws.close_code()) + (ws.close_reason().empty() ? "" : " ") + ws.close_reason() + ")";
    } catch (const http::websocket_error& e) {
        seen += "error " + std::to_string(e.code()) + ": " + e.what();
    } catch (const std::exception& e) {
        seen += e.what();
    }
    co_return seen;
}

/// Shakes hands as a server that sends `more` right behind the head, and gives what was asked.
template <class Stream>
task<std::string> answer_handshake(Stream& s, std::string fields = {}, std::string more = {}) {
    buffered_reader reader{s};
    std::string asked = co_await reader.read_until("\r\n\r\n");
    const std::string name = "Sec-WebSocket-Key: ";
    const std::size_t at = asked.find(name) + name.size();
    const std::string key = asked.substr(at, 24);
    const std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                               http::detail::websocket_accept_key(key) + "\r\n" + fields + "\r\n" + more;
    co_await s.write(std::string_view(answer));
    co_return asked;
}

} // namespace websocket_tests
