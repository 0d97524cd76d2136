// The Redis protocol (RESP2): commands as they come in, replies as they go out. Knows nothing of sockets.
// https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redis_cache {

/// All of the text, in decimal; nothing if it is anything else, or too large.
[[nodiscard]] std::optional<std::int64_t> to_integer(std::string_view text);

inline constexpr std::size_t max_arguments = 1024;
inline constexpr std::size_t max_line = 64 * 1024; // of an inline command

/// What the other side sent is no command; nothing after it can be understood.
class protocol_error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

using argument_list = std::vector<std::string>;

/// Takes bytes as they come and gives the commands that are complete. Holds at most one command and one read more.
class command_parser {
public:
    explicit command_parser(std::size_t max_value) noexcept : max_value_(max_value) {}
    void feed(std::string_view bytes) {
        buffer_.erase(0, std::exchange(position_, 0));
        buffer_.append(bytes);
    }
    /// The next command, never empty; nothing: more bytes are needed. It is valid until the next call.
    [[nodiscard]] const argument_list* next();

private:
    [[nodiscard]] std::optional<std::string_view> line(const char* too_long);
    void begin(std::string_view head);
    [[nodiscard]] bool argument();
    void take_inline(std::string_view text);

    std::string buffer_;
    std::size_t position_ = 0;
    argument_list command_;
    std::size_t missing_ = 0;           // arguments
    std::optional<std::size_t> length_; // of the argument that begins at the position
    std::size_t size_ = 0;              // of the command so far
    bool complete_ = true;
    const std::size_t max_value_;
};

/// Collects replies.
class reply_writer {
public:
    void status(std::string_view text) { line('+', text); }
    void error(std::string_view text) { line('-', text); }
    void integer(std::int64_t n) { line(':', std::to_string(n)); }
    void null() { text_ += "$-1\r\n"; }
    void array(std::size_t n) { line('*', std::to_string(n)); }
    void bulk(std::string_view text) {
        line('$', std::to_string(text.size()));
        text_ += text;
        text_ += "\r\n";
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    void clear() noexcept { text_.clear(); }

private:
    void line(char kind, std::string_view text) {
        text_ += kind;
        const std::size_t begin = text_.size();
        text_ += text;
        // An error may quote what a client sent: that must not end the line.
        std::ranges::replace_if(std::span(text_).subspan(begin), [](char c) { return c == '\r' || c == '\n'; }, ' ');
        text_ += "\r\n";
    }
    std::string text_;
};

} // namespace redis_cache
