// The frames of a WebSocket connection, as a server reads them (the first byte is odd) or a client. How the bytes are cut into pieces
// must make no difference.
#include <algorithm>
#include <span>
#include <string>

#include "../../io/http/src/websocket_frame.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace eddy::http::detail;
using event = frame_decoder::event;

constexpr std::size_t max_message = 20'000; // more than is read at once, so that some of it is read straight into its message

std::string sent(websocket_opcode opcode, std::string_view payload, bool masked) {
    static constexpr mask_key key{std::byte{0x37}, std::byte{0xfa}, std::byte{0x21}, std::byte{0x3d}};
    const frame_head head(opcode, payload.size(), masked ? &key : nullptr);
    std::string text(reinterpret_cast<const char*>(head.bytes().data()), head.bytes().size());
    text += payload;
    if (masked) apply_mask(std::as_writable_bytes(std::span(text)).subspan(head.bytes().size()), key, 0);
    return text;
}

/// As much of the bytes as the decoder has room for.
std::string_view take_in(frame_decoder& d, std::string_view bytes) {
    const std::span<std::byte> room = d.room();
    fuzz::require(!room.empty(), "who needs input has room for it");
    const std::string_view piece = bytes.substr(0, room.size());
    std::ranges::copy(std::as_bytes(std::span(piece.data(), piece.size())), room.begin());
    d.received(piece.size());
    return bytes.substr(piece.size());
}

/// The frame is read as what it was made of.
void check_sent(websocket_opcode opcode, std::string_view payload, bool masked, event expected) {
    frame_decoder d(masked, max_message);
    const std::string frame = sent(opcode, payload, masked);
    event got = event::needs_input;
    for (std::string_view rest = frame; !rest.empty(); got = d.next()) {
        fuzz::require(got == event::needs_input, "a frame ends with its last byte");
        rest = take_in(d, rest);
    }
    fuzz::require(got == expected, "a frame is read as the kind that it was written as");
    if (got == event::message) {
        fuzz::require(d.message_is_text() == (opcode == websocket_opcode::text), "a message is read as the kind that it was written as");
        fuzz::require_equal(d.take_message(), payload, "a message and what it is sent as");
    } else {
        fuzz::require_equal(d.control_payload(), payload, "a payload and what it is sent as");
    }
    fuzz::require(d.next() == event::needs_input, "nothing comes after it");
}

void check_close(const frame_decoder& d) {
    fuzz::require(d.code() == close_codes::none || is_close_code(d.code()), "the code of a close frame is one");
    fuzz::require(is_utf8(d.reason()) && d.reason().size() <= longest_control_payload - 2, "its reason is a short text");
    fuzz::require(d.code() != close_codes::none || d.reason().empty(), "there is no reason without a code");
}

void check_violation(const frame_decoder& d) {
    const bool known = d.code() == close_codes::protocol_error || d.code() == close_codes::not_utf8 || d.code() == close_codes::too_big;
    fuzz::require(known && !d.reason().empty(), "a violation has one of three codes, and says why");
}

/// What it says next, in words; empty if it needs input.
std::string next_event(frame_decoder& d, bool masked) {
    const event e = d.next();
    switch (e) {
    case event::needs_input: return {};
    case event::message: {
        const websocket_opcode kind = d.message_is_text() ? websocket_opcode::text : websocket_opcode::binary;
        const std::string message = d.take_message();
        fuzz::require(message.size() <= max_message, "a message is within its limit");
        fuzz::require(kind == websocket_opcode::binary || is_utf8(message), "a text is one");
        check_sent(kind, message, masked, e);
        return (kind == websocket_opcode::text ? "text " : "binary ") + message + "\n";
    }
    case event::ping:
    case event::pong: {
        const std::string payload(d.control_payload());
        fuzz::require(payload.size() <= longest_control_payload, "a control frame is short");
        check_sent(e == event::ping ? websocket_opcode::ping : websocket_opcode::pong, payload, masked, e);
        return (e == event::ping ? "ping " : "pong ") + payload + "\n";
    }
    case event::close: check_close(d); break;
    case event::violation: check_violation(d); break;
    }
    fuzz::require(d.next() == e, "the end is the end");
    return (e == event::close ? "close " : "violation ") + std::to_string(d.code()) + " " + std::string(d.reason());
}

/// All that is seen of the bytes, which come in pieces of so many.
std::string seen(std::string_view bytes, bool masked, std::size_t piece) {
    frame_decoder d(masked, max_message);
    std::string log;
    while (!bytes.empty()) {
        std::string_view now = bytes.substr(0, piece);
        bytes.remove_prefix(now.size());
        while (!now.empty()) {
            now = take_in(d, now);
            for (std::string e = next_event(d, masked); !e.empty(); e = next_event(d, masked)) {
                log += e;
                if (e.starts_with("close") || e.starts_with("violation")) return log;
            }
        }
    }
    return log + "open";
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bool masked = data[0] % 2 == 1;
    const std::string_view bytes = fuzz::text_of(data + 1, std::min<std::size_t>(size - 1, 64 * 1024));
    const std::string whole = seen(bytes, masked, std::max<std::size_t>(bytes.size(), 1));
    fuzz::require_equal(whole, seen(bytes, masked, 1), "what is seen at once and byte by byte");
    fuzz::require_equal(whole, seen(bytes, masked, 7), "what is seen at once and in pieces");
    return 0;
}
