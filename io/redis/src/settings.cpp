#include "settings.hpp"

#include <charconv>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace eddy::redis::detail {
namespace {

/// What may be shown of an URL: what stands before its last '@' may be a password, and so may a parameter. If it is not clear which
/// is which, nothing.
[[nodiscard]] std::string shown(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::size_t at = url.rfind('@');
    const std::size_t query = url.find('?');
    std::string text(url.substr(0, scheme == std::string_view::npos ? 0 : scheme + 3));
    if (at == std::string_view::npos) return text.append(url.substr(text.size(), query - text.size()));
    if (query != std::string_view::npos && query < at) return text.append("…");
    return text.append(url.substr(at + 1, query - at - 1));
}

[[noreturn]] void refuse(std::string_view url, std::string_view why) {
    throw std::invalid_argument("redis URL '" + shown(url) + "': " + std::string(why) + "; it is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]" +
                                ", rediss://… for TLS, or unix:///PATH[?db=DATABASE]");
}

[[nodiscard]] int digit_of(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

[[nodiscard]] std::string unescape(std::string_view url, std::string_view part) {
    std::string text;
    for (std::size_t i = 0; i < part.size(); ++i) {
        if (part[i] != '%') {
            text += part[i];
            continue;
        }
        const int high = i + 2 < part.size() ? digit_of(part[i + 1]) : -1;
        const int low = i + 2 < part.size() ? digit_of(part[i + 2]) : -1;
        if (high < 0 || low < 0) refuse(url, "a '%' without two hexadecimal digits");
        text += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return text;
}

/// A number from 0 to `most`, or -1.
[[nodiscard]] int number_of(std::string_view text, int most) noexcept {
    int n = -1;
    const std::from_chars_result r = std::from_chars(text.data(), text.data() + text.size(), n);
    return r.ec == std::errc() && r.ptr == text.data() + text.size() && n >= 0 && n <= most ? n : -1;
}

[[nodiscard]] int database_of(std::string_view url, std::string_view text) {
    const int n = number_of(text, std::numeric_limits<int>::max());
    if (n < 0) refuse(url, "the database is not a number");
    return n;
}

/// Takes what stands before the last `mark` off `rest`; nothing if there is none.
[[nodiscard]] std::optional<std::string_view> take_until_last(std::string_view& rest, char mark) noexcept {
    const std::size_t place = rest.rfind(mark);
    if (place == std::string_view::npos) return std::nullopt;
    const std::string_view head = rest.substr(0, place);
    rest.remove_prefix(place + 1);
    return head;
}

class url_parser {
public:
    url_parser(std::string_view url, settings& out) noexcept : url_(url), out_(out) {}

    void parse() {
        std::string_view rest = url_;
        const std::size_t scheme = rest.find("://");
        if (scheme == std::string_view::npos) refuse(url_, "it has no scheme");
        take_scheme(rest.substr(0, scheme));
        rest.remove_prefix(scheme + 3);
        const std::size_t query = rest.find('?');
        const std::string_view parameters = query == std::string_view::npos ? std::string_view() : rest.substr(query + 1);
        rest = rest.substr(0, query);
        if (const auto credentials = take_until_last(rest, '@')) take_credentials(*credentials);
        if (out_.over == transport::unix_socket)
            take_path(rest);
        else
            take_place(rest);
        take_parameters(parameters);
    }

private:
    void take_scheme(std::string_view scheme) {
        if (scheme == "redis")
            out_.over = transport::tcp;
        else if (scheme == "rediss")
            out_.over = transport::tls;
        else if (scheme == "unix" || scheme == "redis+socket" || scheme == "redis+unix")
            out_.over = transport::unix_socket;
        else
            refuse(url_, "its scheme is not known");
    }
    void take_credentials(std::string_view text) {
        const std::size_t colon = text.find(':');
        out_.user = unescape(url_, text.substr(0, colon));
        if (colon != std::string_view::npos) out_.password = unescape(url_, text.substr(colon + 1));
    }
    void take_path(std::string_view path) {
        out_.host = unescape(url_, path);
        if (out_.host.size() < 2 || out_.host[0] != '/') refuse(url_, "it has no path");
    }
    void take_place(std::string_view rest) {
        const std::size_t slash = rest.find('/');
        if (slash != std::string_view::npos && slash + 1 < rest.size()) out_.database = database_of(url_, rest.substr(slash + 1));
        std::string_view place = rest.substr(0, slash);
        std::string_view port;
        if (place.starts_with('[')) { // IPv6
            const std::size_t end = place.find(']');
            if (end == std::string_view::npos) refuse(url_, "a '[' without ']'");
            out_.host = place.substr(1, end - 1);
            place.remove_prefix(end + 1);
            if (!place.empty() && place[0] != ':') refuse(url_, "something stands behind the ']'");
            if (!place.empty()) port = place.substr(1);
        } else {
            const std::size_t colon = place.find(':');
            out_.host = unescape(url_, place.substr(0, colon));
            if (colon != std::string_view::npos) port = place.substr(colon + 1);
        }
        if (out_.host.empty()) refuse(url_, "it has no host");
        if (port.empty()) return;
        const int n = number_of(port, std::numeric_limits<std::uint16_t>::max());
        if (n <= 0) refuse(url_, "the port is not a number from 1 to 65535");
        out_.port = static_cast<std::uint16_t>(n);
    }
    void take_parameters(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = text.find('&');
            take_parameter(text.substr(0, end));
            text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        }
    }
    void take_parameter(std::string_view text) {
        const std::size_t equals = text.find('=');
        const std::string_view key = text.substr(0, equals);
        const std::string content = equals == std::string_view::npos ? std::string() : unescape(url_, text.substr(equals + 1));
        if (key == "db" || key == "virtual_host")
            out_.database = database_of(url_, std::string_view(content).substr(content.starts_with('/') ? 1 : 0));
        else if (key == "user" || key == "username")
            out_.user = content;
        else if (key == "password")
            out_.password = content;
        else if (key == "ssl_cert_reqs" && out_.over == transport::tls)
            take_verification(content);
        else
            refuse(url_, "its parameter '" + std::string(key) + "' is not known");
    }
    // Celery demands it of a rediss:// URL.
    void take_verification(std::string_view content) {
        if (content == "required" || content == "CERT_REQUIRED")
            out_.verify_tls = true;
        else if (content == "none" || content == "CERT_NONE")
            out_.verify_tls = false;
        else
            refuse(url_, "its ssl_cert_reqs is neither 'required' nor 'none'");
    }

    std::string_view url_;
    settings& out_;
};

void take_options(settings& s, const options& o) {
    if (!o.user.empty()) s.user = o.user;
    if (!o.password.empty()) s.password = o.password;
    if (!s.user.empty() && s.password.empty()) throw std::invalid_argument("redis::connect: a user needs a password");
    if (o.database < -1) throw std::invalid_argument("redis::connect: options::database is negative");
    if (o.database >= 0) s.database = o.database;
    s.client_name = o.client_name;
    if (s.client_name.find_first_of(" \n\r\t") != std::string::npos)
        throw std::invalid_argument("redis::connect: options::client_name has a space in it, which Redis does not take");
    if (o.connect_timeout.count() < 0 || o.timeout.count() < 0) throw std::invalid_argument("redis::connect: a time limit is negative");
    if (o.max_pending == 0) throw std::invalid_argument("redis::connect: options::max_pending is 0, so nothing could be sent");
    eddy::detail::check_retry_policy(o.reconnect);
    s.connect_timeout = o.connect_timeout;
    s.timeout = o.timeout;
    s.max_pending = o.max_pending;
    s.max_reply = o.max_reply;
    s.max_idle = o.max_idle;
    s.reconnect = o.reconnect;
    s.reconnect.retry_if = [](const std::exception_ptr&) { return true; };
    if (o.tls) s.tls = *o.tls;
}

[[nodiscard]] std::string endpoint_of(const settings& s) {
    const std::string database = std::to_string(s.database);
    if (s.over == transport::unix_socket) return "unix://" + s.host + "?db=" + database;
    const bool bare_ipv6 = s.host.find(':') != std::string::npos;
    return (s.over == transport::tls ? "rediss://" : "redis://") + (bare_ipv6 ? "[" + s.host + "]" : s.host) + ":" + std::to_string(s.port) +
           "/" + database;
}

} // namespace

settings settings_of(std::string_view url, const options& o, std::source_location site) {
    settings s;
    s.site = site;
    url_parser(url, s).parse();
    take_options(s, o);
    s.endpoint = endpoint_of(s);
    if (s.over == transport::tls && !s.tls) s.tls = tls_context::client(s.verify_tls ? tls_trust::system : tls_trust::nobody);
    if (s.over == transport::tls && !s.verify_tls && !o.tls) s.tls->insecure_verify_none();
    return s;
}

settings settings_of_stream(std::string name, const options& o, std::source_location site) {
    settings s;
    s.site = site;
    take_options(s, o);
    s.over = transport::given;
    s.endpoint = std::move(name);
    return s;
}

} // namespace eddy::redis::detail
