// What a WebSocket client reads before there are frames: an address (the first line of the input), and a server's answer to the
// handshake (the rest).
#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include <eddy/http/error.hpp>

#include "../../io/http/src/websocket_handshake.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace eddy::http::detail;

// RFC 6455 1.3
constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::string_view offered = "chat, superchat";
constexpr std::string_view url = "ws://server.test/chat";

/// Null if the address is none.
std::unique_ptr<websocket_url> parsed(std::string_view text) {
    try {
        return std::make_unique<websocket_url>(text);
    } catch (const std::invalid_argument& e) {
        fuzz::require(*e.what() != '\0', "an error says what is wrong");
        return nullptr;
    }
}

// A request of ours holds nothing that the address has put there: it has its lines, and ends with the first empty one.
void check_request(const websocket_url& u) {
    const std::string request = websocket_request(u.authority, u.target, key, offered, {});
    fuzz::require(head_end(request) == request.size(), "a request ends with its first empty line");
    std::size_t lines = 0;
    for (const char c : request) lines += c == '\n' ? 1 : 0;
    fuzz::require(lines == 8, "an address adds no line to a request");
    fuzz::require(request.starts_with("GET " + u.target + " HTTP/1.1\r\nHost: " + u.authority + "\r\n"), "a request is for its address");
}

void check_url(std::string_view text) {
    const auto u = parsed(text);
    if (!u) return;
    fuzz::require(!u->host.empty() && u->port > 0 && u->target.starts_with('/'), "an address has a host, a port and a path");
    fuzz::require(u->authority.find_first_of("/?#@") == std::string::npos, "a host has no path in it");
    const std::string again_text = (u->secure ? "wss://" : "ws://") + u->authority + u->target;
    const auto again = parsed(again_text);
    fuzz::require(again != nullptr, "what is written is read");
    fuzz::require_equal(again->host, u->host, "an address and what it is written as: the host");
    fuzz::require_equal(again->target, u->target, "an address and what it is written as: the target");
    fuzz::require(again->port == u->port && again->secure == u->secure, "an address and what it is written as: the port");
    check_request(*u);
}

/// The subprotocol; "refused" if the answer is.
std::string judged(std::string_view head) {
    try {
        return check_websocket_answer(head, key, offered, url);
    } catch (const eddy::http::error& e) {
        const bool by_status = e.kind() == eddy::http::error_kind::bad_status;
        fuzz::require(by_status || e.kind() == eddy::http::error_kind::protocol, "an answer is another one, or is wrong");
        fuzz::require(!by_status || (e.status() >= 100 && e.status() <= 999 && e.status() != 101), "a status has three digits");
        for (const char* c = e.what(); *c != '\0'; ++c) fuzz::require(static_cast<unsigned char>(*c) >= ' ', "an error is one line of text");
        return "refused";
    }
}

void check_answer(std::string_view received) {
    const std::size_t end = head_end(received);
    if (end == std::string_view::npos) return;
    fuzz::require(head_end(received.substr(0, end - 1)) == std::string_view::npos, "a head ends with its last byte");
    const std::string_view head = received.substr(0, end);
    const std::string chosen = judged(head);
    if (chosen == "refused") return;
    fuzz::require(chosen.empty() || chosen == "chat" || chosen == "superchat", "a subprotocol is one of ours");
    fuzz::require(head.starts_with("HTTP/1.1 101") && head.find(accepted) != std::string_view::npos, "an acceptance is for our key");
    const std::string fields(head.substr(0, end - 2));
    constexpr std::array too_much{"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: soap", " folded", "no colon",
                                  "Bad Name: x", "Bare: a\nLine: feed"};
    for (const char* const line : too_much) fuzz::require(judged(fields + line + "\r\n\r\n") == "refused", "an answer with a line too much is refused");
    fuzz::require_equal(judged(fields + "X-More: x\r\n\r\n"), chosen, "an answer and one with a line that means nothing");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest = fuzz::text_of(data, size);
    check_url(fuzz::take_line(rest));
    check_answer(rest);
    return 0;
}
