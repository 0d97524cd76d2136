#include "resp.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace redis_cache {

std::optional<std::int64_t> to_integer(std::string_view text) {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return n;
}

const argument_list* command_parser::next() {
    while (complete_ || missing_ > 0) {
        if (complete_) {
            const auto head = line("Protocol error: too big inline request");
            if (!head) return nullptr;
            begin(*head);
        } else if (!argument()) {
            return nullptr;
        }
        if (!complete_ && missing_ == 0) {
            complete_ = true;
            if (!command_.empty()) return &command_; // an empty one has no answer
        }
    }
    return nullptr;
}

void command_parser::begin(std::string_view head) {
    command_.clear();
    size_ = 0;
    complete_ = false;
    if (!head.starts_with('*')) return take_inline(head);
    const auto count = to_integer(head.substr(1));
    if (!count || *count > static_cast<std::int64_t>(max_arguments)) throw protocol_error("Protocol error: invalid multibulk length");
    missing_ = *count > 0 ? static_cast<std::size_t>(*count) : 0;
}

/// "$5\r\nhello\r\n". False if it is not there yet.
bool command_parser::argument() {
    if (!length_) {
        const auto head = line("Protocol error: too big bulk count string");
        if (!head) return false;
        if (!head->starts_with('$')) throw protocol_error("Protocol error: expected '$', got '" + std::string(head->substr(0, 1)) + "'");
        const auto n = to_integer(head->substr(1));
        if (!n || *n < 0 || *n > static_cast<std::int64_t>(max_value_)) throw protocol_error("Protocol error: invalid bulk length");
        length_ = static_cast<std::size_t>(*n);
        size_ += *length_;
        if (size_ > 4 * max_value_ + max_line) throw protocol_error("Protocol error: the command is too big");
    }
    const std::string_view rest = std::string_view(buffer_).substr(position_);
    if (rest.size() < *length_ + 2) return false;
    if (rest.substr(*length_, 2) != "\r\n") throw protocol_error("Protocol error: a bulk string is longer than announced");
    command_.emplace_back(rest.substr(0, *length_));
    position_ += *length_ + 2;
    length_.reset();
    --missing_;
    return true;
}

std::optional<std::string_view> command_parser::line(const char* too_long) {
    const std::string_view rest = std::string_view(buffer_).substr(position_);
    const std::size_t end = rest.substr(0, max_line).find('\n');
    if (end == std::string_view::npos) {
        if (rest.size() >= max_line) throw protocol_error(too_long);
        return std::nullopt;
    }
    position_ += end + 1;
    return rest.substr(0, end > 0 && rest[end - 1] == '\r' ? end - 1 : end);
}

/// Words, separated by blanks. (Quotes, which Redis knows here, have no meaning.)
void command_parser::take_inline(std::string_view text) {
    constexpr std::string_view blanks = " \t";
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
        if (text.empty()) return;
        if (command_.size() == max_arguments) throw protocol_error("Protocol error: too many arguments");
        const std::size_t end = std::min(text.find_first_of(blanks), text.size());
        if (end > max_value_) throw protocol_error("Protocol error: an argument is too long");
        command_.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

} // namespace redis_cache
