#include "head_check.hpp"

#include <algorithm>

namespace eddy::http::detail {

head_scanner::result head_scanner::scan(std::string_view input) noexcept {
    while (position_ < input.size()) {
        const auto c = static_cast<unsigned char>(input[position_++]);
        if (after_return_) {
            if (c != '\n') return result::bad;
            after_return_ = false;
            if (line_length_ == 0) return result::complete;
            if (lines_++ == 0) request_line_ = position_;
            line_length_ = 0;
        } else if (c == '\r') {
            after_return_ = true;
        } else if (c == 127 || (c < 32 && c != '\t')) {
            return result::bad;
        } else {
            ++line_length_;
        }
    }
    return result::more;
}

namespace {

[[nodiscard]] constexpr bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

// "GET /path HTTP/1.1": exactly two spaces, a method that is a token, a visible target.
[[nodiscard]] refusal check_request_line(std::string_view line) noexcept {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || last == first) return {400, "the request line needs method, target and version"};
    const std::string_view method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(method)) return {400, "the method is not a token"};
    const auto hidden = [](char c) { return static_cast<unsigned char>(c) <= 32; };
    if (target.empty() || std::any_of(target.begin(), target.end(), hidden)) return {400, "the target contains a space"};
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' || !is_digit(version[7]))
        return {400, "the version is not of the form HTTP/1.1"};
    if (version[5] != '1' || version[7] > '1') return {505, "this server speaks HTTP/1.0 and HTTP/1.1"};
    if (method == "CONNECT") return {501, "this server is no proxy"};
    return {};
}

constexpr std::size_t longest_field = 65'000; // Beast counts in 16 bits

[[nodiscard]] refusal check_field_line(std::string_view line) noexcept {
    if (line.front() == ' ' || line.front() == '\t') return {400, "folded header lines are obsolete"};
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {400, "a header line without a colon"};
    if (!is_token(line.substr(0, colon))) return {400, "a header name that is not a token"};
    if (line.size() > longest_field) return {431, "a header is too large"};
    return {};
}

[[nodiscard]] bool is_decimal(std::string_view s) noexcept {
    return !s.empty() && std::all_of(s.begin(), s.end(), is_digit);
}

} // namespace

refusal check_head(std::string_view head) noexcept {
    std::size_t end = head.find("\r\n");
    if (refusal r = check_request_line(head.substr(0, end))) return r;
    while (true) {
        const std::size_t begin = end + 2;
        end = head.find("\r\n", begin);
        if (end == begin || end == std::string_view::npos) return {};
        if (refusal r = check_field_line(head.substr(begin, end - begin))) return r;
    }
}

refusal check_framing(const header_list& headers, int minor_version) noexcept {
    std::size_t lengths = 0;
    std::size_t codings = 0;
    std::size_t hosts = 0;
    for (const header& h : headers) {
        if (equal_names(h.name, "Content-Length")) {
            ++lengths;
            if (!is_decimal(h.value)) return {400, "Content-Length is not a number"};
        } else if (equal_names(h.name, "Transfer-Encoding")) {
            ++codings;
            if (!equal_names(h.value, "chunked")) return {501, "the only transfer coding here is chunked"};
        } else if (equal_names(h.name, "Host")) {
            ++hosts;
            if (h.value.find_first_of(" \t,/") != std::string::npos) return {400, "Host is not a host"};
        }
    }
    if (lengths > 0 && codings > 0) return {400, "both Content-Length and Transfer-Encoding"};
    if (lengths > 1) return {400, "more than one Content-Length"};
    if (codings > 1) return {400, "more than one Transfer-Encoding"};
    if (codings > 0 && minor_version == 0) return {400, "Transfer-Encoding in HTTP/1.0"};
    if (hosts > 1 || (hosts == 0 && minor_version > 0)) return {400, "a request needs exactly one Host"};
    return {};
}

} // namespace eddy::http::detail
