#include "websocket_frame.hpp"

#include <algorithm>
#include <cstring>

namespace eddy::http::detail {
namespace {

constexpr std::size_t input_size = 4096;            // what an idle connection holds
constexpr std::size_t least_growth = 16 * 1024;     // of a message that is read into directly
constexpr unsigned last_bit = 0x80;
constexpr unsigned reserved_bits = 0x70;
constexpr unsigned mask_bit = 0x80;
constexpr unsigned two_byte_length = 126;
constexpr unsigned eight_byte_length = 127;

[[nodiscard]] bool is_known_opcode(unsigned opcode) noexcept {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

[[nodiscard]] std::uint64_t big_endian(std::span<const std::byte> bytes) noexcept {
    std::uint64_t value = 0;
    for (const std::byte b : bytes) value = value << 8U | std::to_integer<std::uint64_t>(b);
    return value;
}

/// Bytes of the length that follow the first two.
[[nodiscard]] std::size_t length_size(unsigned second) noexcept {
    const unsigned length = second & ~mask_bit;
    return length == eight_byte_length ? 8 : length == two_byte_length ? 2 : 0;
}

} // namespace

bool is_close_code(std::uint16_t code) noexcept {
    if (code >= 3000) return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

void apply_mask(std::span<std::byte> bytes, const mask_key& key, std::uint64_t offset) noexcept {
    std::array<std::byte, 8> pattern; // eight bytes at a time
    for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = key[(offset + i) % key.size()];
    std::uint64_t mask = 0;
    std::memcpy(&mask, pattern.data(), sizeof mask);
    std::size_t at = 0;
    for (; bytes.size() - at >= sizeof mask; at += sizeof mask) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        word ^= mask;
        std::memcpy(bytes.data() + at, &word, sizeof word);
    }
    for (std::size_t i = 0; at < bytes.size(); ++at, ++i) bytes[at] ^= pattern[i];
}

frame_head::frame_head(websocket_opcode opcode, std::uint64_t length, const mask_key* key, bool last) noexcept {
    const auto put = [this](unsigned value) { bytes_[size_++] = static_cast<std::byte>(value); };
    const unsigned masked = key ? mask_bit : 0U;
    put((last ? last_bit : 0U) | static_cast<unsigned>(opcode));
    std::size_t more = 0;
    if (length <= longest_control_payload) {
        put(masked | static_cast<unsigned>(length));
    } else {
        more = length <= 0xFFFF ? 2 : 8;
        put(masked | (more == 2 ? two_byte_length : eight_byte_length));
    }
    for (; more > 0; --more) put(static_cast<unsigned>(length >> (8 * (more - 1)) & 0xFFU));
    if (!key) return;
    std::copy(key->begin(), key->end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += key->size();
}

// --- UTF-8

bool utf8_checker::begin(unsigned first) noexcept {
    if (first < 0xC2 || first > 0xF4) return false;
    needed_ = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
    lowest_ = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    highest_ = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return true;
}

bool utf8_checker::feed(std::span<const std::byte> bytes) noexcept {
    std::size_t at = 0;
    while (at < bytes.size()) {
        std::uint64_t word = 0; // ASCII, eight at a time
        while (needed_ == 0 && bytes.size() - at >= sizeof word) {
            std::memcpy(&word, bytes.data() + at, sizeof word);
            if ((word & 0x8080808080808080U) != 0) break;
            at += sizeof word;
        }
        if (at == bytes.size()) break;
        const auto c = std::to_integer<unsigned>(bytes[at++]);
        if (needed_ == 0) {
            if (c >= 0x80 && !begin(c)) return false;
            continue;
        }
        if (c < lowest_ || c > highest_) return false;
        --needed_;
        lowest_ = 0x80;
        highest_ = 0xBF;
    }
    return true;
}

bool is_utf8(std::string_view text) noexcept {
    utf8_checker checker;
    return checker.feed(std::as_bytes(std::span(text.data(), text.size()))) && checker.complete();
}

// --- frame_decoder

frame_decoder::frame_decoder(bool masked, std::size_t max_message) : masked_(masked), max_message_(max_message), input_(input_size) {}

std::span<std::byte> frame_decoder::room() {
    direct_ = in_frame_ && !is_control() && available() == 0 && remaining_ >= input_.size();
    if (direct_) {
        if (message_.size() == filled_)
            message_.resize(filled_ + std::min(static_cast<std::size_t>(remaining_), std::max(filled_, least_growth)));
        const std::span<std::byte> all = std::as_writable_bytes(std::span(message_)).subspan(filled_);
        return all.first(std::min(static_cast<std::size_t>(remaining_), all.size())); // max_message bounds what remains
    }
    if (begin_ > 0) { // no more than a part of a head
        std::memmove(input_.data(), input_.data() + begin_, available());
        end_ -= std::exchange(begin_, 0);
    }
    return std::span(input_).subspan(end_);
}

void frame_decoder::received(std::size_t size) {
    if (direct_)
        take_data(std::as_writable_bytes(std::span(message_)).subspan(filled_, size));
    else
        end_ += size;
}

frame_decoder::event frame_decoder::next() {
    for (;;) {
        if (violated_) return event::violation;
        if (closed_) return event::close;
        if (!in_frame_ && !parse_head()) return violated_ ? event::violation : event::needs_input;
        take_payload();
        if (violated_) return event::violation;
        if (remaining_ > 0) return event::needs_input;
        in_frame_ = false;
        const event finished = finish_frame();
        if (finished != event::needs_input) return finished;
    }
}

std::string frame_decoder::take_message() {
    filled_ = 0;
    return std::exchange(message_, std::string());
}

std::string_view frame_decoder::control_payload() const noexcept {
    return {reinterpret_cast<const char*>(control_.data()), static_cast<std::size_t>(offset_)};
}

bool frame_decoder::violate(std::uint16_t code, std::string_view reason) {
    violated_ = true;
    code_ = code;
    reason_ = reason;
    return false;
}

// False if it is not complete, or forbidden.
bool frame_decoder::parse_head() {
    if (available() < 2) return false;
    const std::span<const std::byte> bytes = std::span<const std::byte>(input_).subspan(begin_, available());
    const auto first = std::to_integer<unsigned>(bytes[0]);
    const auto second = std::to_integer<unsigned>(bytes[1]);
    if (!check_start(first, second)) return false;
    const std::size_t more = length_size(second);
    const std::size_t size = 2 + more + (masked_ ? key_.size() : 0);
    if (bytes.size() < size) return false;
    const std::uint64_t length = more == 0 ? second & ~mask_bit : big_endian(bytes.subspan(2, more));
    if (masked_) std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(2 + more), key_.size(), key_.begin());
    begin_ += size;
    if (length >> 63U != 0) return violate(close_codes::protocol_error, "a frame with the highest bit of its length set");
    if ((more == 2 && length < two_byte_length) || (more == 8 && length <= 0xFFFF))
        return violate(close_codes::protocol_error, "a frame whose length is not written in the shortest way");
    return begin_frame(first, length);
}

// What the first two bytes tell.
bool frame_decoder::check_start(unsigned first, unsigned second) {
    const auto refuse = [this](std::string_view reason) { return violate(close_codes::protocol_error, reason); };
    const unsigned opcode = first & 0x0FU;
    if ((first & reserved_bits) != 0) return refuse("a frame with a reserved bit set");
    if (!is_known_opcode(opcode)) return refuse("a frame with an unknown opcode");
    if (((second & mask_bit) != 0) != masked_)
        return refuse(masked_ ? "a frame of a client that is not masked" : "a frame of a server that is masked");
    if (opcode >= 8) {
        if ((first & last_bit) == 0) return refuse("a control frame that is fragmented");
        if (length_size(second) > 0) return refuse("a control frame with more than 125 bytes");
        return true;
    }
    const bool continues = opcode == 0;
    if (continues && !in_message_) return refuse("a continuation without a message before it");
    if (!continues && in_message_) return refuse("a new message within a fragmented one");
    return true;
}

bool frame_decoder::begin_frame(unsigned first, std::uint64_t length) {
    in_frame_ = true;
    last_ = (first & last_bit) != 0;
    opcode_ = static_cast<websocket_opcode>(first & 0x0FU);
    offset_ = 0;
    remaining_ = length;
    if (is_control()) return true;
    if (opcode_ != websocket_opcode::continuation) {
        in_message_ = true;
        message_opcode_ = opcode_;
        message_.clear();
        filled_ = 0;
        utf8_ = {};
    }
    if (length > max_message_ - filled_)
        return violate(close_codes::too_big, "a message of more than " + std::to_string(max_message_) + " bytes");
    return true;
}

// As much as there is of the payload.
void frame_decoder::take_payload() {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, available()));
    if (size == 0) return;
    const std::span<std::byte> piece = std::span(input_).subspan(begin_, size);
    begin_ += size;
    if (is_control()) {
        if (masked_) apply_mask(piece, key_, offset_);
        std::copy(piece.begin(), piece.end(), control_.begin() + static_cast<std::ptrdiff_t>(offset_));
        offset_ += size;
        remaining_ -= size;
        return;
    }
    if (message_.size() < filled_ + size) message_.resize(filled_ + size);
    std::memcpy(message_.data() + filled_, piece.data(), size);
    take_data(std::as_writable_bytes(std::span(message_)).subspan(filled_, size));
}

// A piece that is in its place in the message.
void frame_decoder::take_data(std::span<std::byte> piece) {
    if (masked_) apply_mask(piece, key_, offset_);
    offset_ += piece.size();
    remaining_ -= piece.size();
    filled_ += piece.size();
    if (message_is_text() && !utf8_.feed(piece)) violate(close_codes::not_utf8, "a text that is not UTF-8");
}

frame_decoder::event frame_decoder::finish_frame() {
    switch (opcode_) {
        case websocket_opcode::ping: return event::ping;
        case websocket_opcode::pong: return event::pong;
        case websocket_opcode::close: return finish_close();
        default: return last_ ? finish_message() : event::needs_input;
    }
}

frame_decoder::event frame_decoder::finish_message() {
    in_message_ = false;
    message_.resize(filled_);
    if (!message_is_text() || utf8_.complete()) return event::message;
    violate(close_codes::not_utf8, "a text that ends in the middle of a character");
    return event::violation;
}

frame_decoder::event frame_decoder::finish_close() {
    const std::string_view payload = control_payload();
    code_ = close_codes::none;
    if (payload.size() >= 2) code_ = static_cast<std::uint16_t>(big_endian(std::span<const std::byte>(control_).first(2)));
    reason_ = payload.substr(std::min<std::size_t>(payload.size(), 2));
    if (payload.size() == 1)
        violate(close_codes::protocol_error, "a close frame with half a code");
    else if (!payload.empty() && !is_close_code(code_))
        violate(close_codes::protocol_error, "a close frame with the code " + std::to_string(code_));
    else if (!is_utf8(reason_))
        violate(close_codes::not_utf8, "a close frame whose reason is not UTF-8");
    closed_ = !violated_;
    return violated_ ? event::violation : event::close;
}

} // namespace eddy::http::detail
