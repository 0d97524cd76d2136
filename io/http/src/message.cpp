#include <eddy/http/message.hpp>

#include <charconv>
#include <stdexcept>

namespace eddy::http {
namespace {

// The target without scheme and authority of an absolute URL.
[[nodiscard]] std::string_view origin_form(std::string_view target) noexcept {
    const std::size_t scheme = target.find("://");
    if (target.starts_with('/') || scheme == std::string_view::npos) return target;
    const std::size_t start = target.find_first_of("/?", scheme + 3);
    return start == std::string_view::npos ? std::string_view() : target.substr(start);
}

[[nodiscard]] std::string decode(std::string_view text, char plus) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
            out.push_back(static_cast<char>(value));
            i += 2;
        } else {
            out.push_back(text[i] == '+' ? plus : text[i]);
        }
    }
    return out;
}

} // namespace

std::string_view request::path() const noexcept {
    const std::string_view form = origin_form(target);
    const std::string_view path = form.substr(0, form.find_first_of("?#"));
    return path.empty() ? std::string_view("/") : path;
}

std::string_view request::query() const noexcept {
    const std::string_view form = origin_form(target);
    const std::size_t mark = form.find('?');
    if (mark == std::string_view::npos) return {};
    const std::string_view rest = form.substr(mark + 1);
    return rest.substr(0, rest.find('#'));
}

std::optional<std::string> request::parameter(std::string_view name) const {
    std::string_view rest = query();
    while (!rest.empty()) {
        const std::size_t end = rest.find('&');
        const std::string_view pair = rest.substr(0, end);
        const std::size_t equals = pair.find('=');
        if (decode_query(pair.substr(0, equals)) == name)
            return equals == std::string_view::npos ? std::string() : decode_query(pair.substr(equals + 1));
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
    return std::nullopt;
}

const std::string& request::path_parameter(std::string_view name) const {
    for (const http::header& p : path_parameters) {
        if (p.name == name) return p.value;
    }
    throw std::out_of_range("the route of " + method + " " + target + " has no part {" + std::string(name) + "}");
}

std::string decode_query(std::string_view text) {
    return decode(text, ' ');
}

std::string decode_path(std::string_view text) {
    return decode(text, '+');
}

response response::raw(std::string bytes) {
    response r(200, std::move(bytes));
    r.raw_ = r.close_ = true;
    return r;
}

response& response::set(std::string_view name, std::string_view value) & {
    headers.set(name, value);
    return *this;
}
response&& response::set(std::string_view name, std::string_view value) && {
    return std::move(set(name, value));
}
response& response::add(std::string_view name, std::string_view value) & {
    headers.add(name, value);
    return *this;
}
response&& response::add(std::string_view name, std::string_view value) && {
    return std::move(add(name, value));
}
response& response::content_type(std::string_view type) & {
    return set("Content-Type", type);
}
response&& response::content_type(std::string_view type) && {
    return std::move(set("Content-Type", type));
}
response& response::content_length(std::uint64_t size) & {
    return set("Content-Length", std::to_string(size));
}
response&& response::content_length(std::uint64_t size) && {
    return std::move(content_length(size));
}
response& response::close_connection() & noexcept {
    close_ = true;
    return *this;
}
response&& response::close_connection() && noexcept {
    return std::move(close_connection());
}
response& response::truncate_after(std::size_t size) & noexcept {
    truncate_ = size;
    close_ = true;
    return *this;
}
response&& response::truncate_after(std::size_t size) && noexcept {
    return std::move(truncate_after(size));
}

std::string_view reason_phrase(int status) noexcept {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 203: return "Non-Authoritative Information";
        case 204: return "No Content";
        case 205: return "Reset Content";
        case 206: return "Partial Content";
        case 300: return "Multiple Choices";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 418: return "I'm a teapot";
        case 422: return "Unprocessable Content";
        case 425: return "Too Early";
        case 426: return "Upgrade Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        default: return {};
    }
}

} // namespace eddy::http
