// The handshake of the WebSocket protocol (RFC 6455 section 4). No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <eddy/http/message.hpp>

namespace eddy::http::detail {

/// Fills `out` with bytes that nobody can foretell. Throws `std::system_error`.
void fill_random(std::span<std::byte> out);

/// What Sec-WebSocket-Accept has to be.
[[nodiscard]] std::string websocket_accept_key(std::string_view key);
/// A new Sec-WebSocket-Key.
[[nodiscard]] std::string new_websocket_key();
/// Throws `std::invalid_argument` if it is no list of tokens.
void require_subprotocols(std::string_view list);

// --- server

/// The answer to a request that is no handshake, or not one that we accept; nullopt for one that we do. `origins`: see
/// `websocket_options`.
[[nodiscard]] std::optional<response> refuse_websocket(const request& q, std::string_view origins);
/// The first of `ours` ("a, b") that the client offers; empty if there is none.
[[nodiscard]] std::string choose_subprotocol(const header_list& offer, std::string_view ours);

// --- client

class websocket_url {
public:
    /// ws://HOST[:PORT][/TARGET], or wss. Throws `std::invalid_argument`, naming it.
    explicit websocket_url(std::string_view url);
    std::string host; // to connect to: without brackets
    std::string authority; // for the Host header
    std::string target;
    std::uint16_t port = 80; // 443 of wss://
    bool secure = false;     // wss://
};

[[noreturn]] void throw_bad_websocket_url(std::string_view url, std::string_view reason);

/// Throws `std::invalid_argument` for what cannot be sent.
[[nodiscard]] std::string websocket_request(std::string_view authority, std::string_view target, std::string_view key,
                                            std::string_view subprotocols, std::span<const header> headers);

/// Where the head of an answer ends: behind its empty line; npos if that has not come.
[[nodiscard]] std::size_t head_end(std::string_view received) noexcept;
/// The subprotocol that the server chose. Throws `http::error` if it does not accept, or not as it must.
[[nodiscard]] std::string check_websocket_answer(std::string_view head, std::string_view key, std::string_view subprotocols,
                                                 std::string_view url);

} // namespace eddy::http::detail
