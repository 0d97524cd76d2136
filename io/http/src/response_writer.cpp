#include "response_writer.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <system_error>

namespace eddy::http::detail {

namespace {

// Not strftime's: its names depend on the locale.
constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

} // namespace

std::string http_date(std::time_t t) {
    std::tm tm{};
    ::gmtime_r(&t, &tm);
    std::array<char, 64> text{};
    const int n = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                days[static_cast<std::size_t>(tm.tm_wday)], tm.tm_mday, months[static_cast<std::size_t>(tm.tm_mon)],
                                tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return {text.data(), static_cast<std::size_t>(n)};
}

std::string log_date(std::time_t t) {
    std::tm tm{};
    ::gmtime_r(&t, &tm);
    std::array<char, 64> text{};
    const int n = std::snprintf(text.data(), text.size(), "%02d/%s/%04d:%02d:%02d:%02d +0000", tm.tm_mday,
                                months[static_cast<std::size_t>(tm.tm_mon)], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return {text.data(), static_cast<std::size_t>(n)};
}

namespace {

[[nodiscard]] const std::string& current_date() {
    thread_local std::time_t second = -1;
    thread_local std::string text;
    const std::time_t now = std::time(nullptr);
    if (now != second) {
        second = now;
        text = http_date(now);
    }
    return text;
}

void line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

[[nodiscard]] bool is_framing(std::string_view name) noexcept {
    return equal_names(name, "Content-Length") || equal_names(name, "Transfer-Encoding") || equal_names(name, "Connection");
}

void length_line(std::string& out, const response& r, const response_context& c) {
    if (!may_have_body(r.status)) return;
    if (r.producer()) {
        if (c.length) line(out, "Content-Length", std::to_string(*c.length));
        if (c.chunked) line(out, "Transfer-Encoding", "chunked");
        return;
    }
    const std::string& announced = r.headers.get("Content-Length");
    if (c.head_request && r.body.empty() && !announced.empty())
        line(out, "Content-Length", announced);
    else
        line(out, "Content-Length", std::to_string(r.body.size()));
}

} // namespace

std::optional<std::uint64_t> announced_length(const response& r) {
    const std::string& text = r.headers.get("Content-Length");
    if (text.empty()) return std::nullopt;
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (error != std::errc() || end != text.data() + text.size())
        throw std::logic_error("a response announces a body of '" + text + "' bytes");
    return length;
}

std::string response_head(const response& r, const response_context& c) {
    std::string out;
    out.reserve(256);
    out.append("HTTP/1.1 ").append(std::to_string(r.status)).append(" ").append(reason_phrase(r.status)).append("\r\n");
    for (const header& h : r.headers) {
        if (!is_framing(h.name)) line(out, h.name, h.value);
    }
    if (!r.headers.contains("Date")) line(out, "Date", current_date());
    if (!c.server_name.empty() && !r.headers.contains("Server")) line(out, "Server", c.server_name);
    if (!r.body.empty() && !r.headers.contains("Content-Type")) line(out, "Content-Type", "text/plain; charset=utf-8");
    length_line(out, r, c);
    if (r.upgrader())
        line(out, "Connection", "Upgrade");
    else if (!c.keep_alive)
        line(out, "Connection", "close");
    else if (c.minor_version == 0)
        line(out, "Connection", "keep-alive");
    out.append("\r\n");
    return out;
}

response error_response(int status, std::string_view reason) {
    std::string text = std::to_string(status) + " " + std::string(reason_phrase(status)) + "\n";
    if (!reason.empty()) text.append(reason).append("\n");
    return response(status, std::move(text));
}

} // namespace eddy::http::detail
