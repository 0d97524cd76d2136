// Frames of the WebSocket protocol (RFC 6455 section 5). No I/O: bytes in, messages out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eddy::http::detail {

enum class websocket_opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// Codes of close frames that the library itself uses (section 7.4.1).
namespace close_codes {
inline constexpr std::uint16_t normal = 1000;
inline constexpr std::uint16_t going_away = 1001;
inline constexpr std::uint16_t protocol_error = 1002;
inline constexpr std::uint16_t none = 1005;     // never sent: the close frame had none
inline constexpr std::uint16_t abnormal = 1006; // never sent: there was no close frame
inline constexpr std::uint16_t not_utf8 = 1007;
inline constexpr std::uint16_t too_big = 1009;
inline constexpr std::uint16_t internal_error = 1011;
} // namespace close_codes

/// May a close frame carry it? Those that are registered, and 3000 to 4999.
[[nodiscard]] bool is_close_code(std::uint16_t code) noexcept;

using mask_key = std::array<std::byte, 4>;
/// Masks, and unmasks. `offset`: where in the payload the bytes begin.
void apply_mask(std::span<std::byte> bytes, const mask_key& key, std::uint64_t offset) noexcept;

inline constexpr std::size_t longest_control_payload = 125;

/// The head of a frame, as it is sent.
class frame_head {
public:
    /// Without a key: not masked.
    frame_head(websocket_opcode opcode, std::uint64_t length, const mask_key* key, bool last = true) noexcept;
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return std::span(bytes_).first(size_); }

private:
    std::array<std::byte, 14> bytes_{};
    std::size_t size_ = 0;
};

/// Is a text UTF-8? Asked piece by piece; surrogates, overlong forms and what is beyond U+10FFFF are not (RFC 3629).
class utf8_checker {
public:
    /// False if it is not, whatever follows.
    [[nodiscard]] bool feed(std::span<const std::byte> bytes) noexcept;
    /// Does the text end between two characters?
    [[nodiscard]] bool complete() const noexcept { return needed_ == 0; }

private:
    [[nodiscard]] bool begin(unsigned first) noexcept;
    unsigned needed_ = 0; // bytes of the character that are still to come
    unsigned lowest_ = 0; // of the next one
    unsigned highest_ = 0;
};
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Takes in what a peer sends: give what was read into `room` to `received`, then ask for `next` until it needs more.
///
///     head ──► payload ──► head …        any ──► violation
///
/// It takes memory for what has come, not for what was announced. Large payloads are read straight into their message.
class frame_decoder {
public:
    enum class event { needs_input, message, ping, pong, close, violation };

    /// `masked`: what the peer's frames must be; those of a client are, those of a server are not.
    frame_decoder(bool masked, std::size_t max_message);

    /// Never empty after `next` said that it needs input. What was there before stays valid if nothing is received.
    [[nodiscard]] std::span<std::byte> room();
    void received(std::size_t size);
    /// What is complete. Nothing is taken in after a `close` or `violation`.
    [[nodiscard]] event next();

    // After `message`:
    [[nodiscard]] bool message_is_text() const noexcept { return message_opcode_ == websocket_opcode::text; }
    [[nodiscard]] std::string take_message();
    // After `ping` and `pong`, until `next`:
    [[nodiscard]] std::string_view control_payload() const noexcept;
    // After `close` (see `close_codes::none`), and why there is a violation:
    [[nodiscard]] std::uint16_t code() const noexcept { return code_; }
    [[nodiscard]] std::string_view reason() const noexcept { return reason_; }

private:
    [[nodiscard]] bool parse_head();
    [[nodiscard]] bool check_start(unsigned first, unsigned second);
    [[nodiscard]] bool begin_frame(unsigned first, std::uint64_t length);
    void take_payload();
    void take_data(std::span<std::byte> piece);
    [[nodiscard]] event finish_frame();
    [[nodiscard]] event finish_message();
    [[nodiscard]] event finish_close();
    bool violate(std::uint16_t code, std::string_view reason);
    [[nodiscard]] std::size_t available() const noexcept { return end_ - begin_; }
    [[nodiscard]] bool is_control() const noexcept { return opcode_ >= websocket_opcode::close; }

    bool masked_;
    std::size_t max_message_;
    std::vector<std::byte> input_; // [begin_, end_): not looked at yet
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool direct_ = false;          // `room` was in the message

    // the frame that is coming in
    bool in_frame_ = false;
    bool last_ = false;
    websocket_opcode opcode_ = websocket_opcode::continuation;
    mask_key key_{};
    std::uint64_t offset_ = 0;     // bytes of its payload that are here
    std::uint64_t remaining_ = 0;  // that are not
    std::array<std::byte, longest_control_payload> control_{};

    // the message
    bool in_message_ = false;
    websocket_opcode message_opcode_ = websocket_opcode::text;
    std::string message_;
    std::size_t filled_ = 0;       // of it; what is behind is room
    utf8_checker utf8_;

    std::uint16_t code_ = 0;
    std::string reason_;
    bool violated_ = false;
    bool closed_ = false;
};

} // namespace eddy::http::detail
