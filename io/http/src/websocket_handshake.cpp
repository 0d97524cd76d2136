#include "websocket_handshake.hpp"

#include <eddy/http/error.hpp>

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>
#include <system_error>

// SHA-1 and base64 are needed for this handshake only, and not for security: they show that the server has read the request. Beast
// is there for the parser anyway, and uses these for the same purpose; its detail is kept to this file.
#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/core/detail/sha1.hpp>

namespace eddy::http::detail {
namespace {

constexpr std::size_t key_letters = 24; // base64 of 16 bytes
constexpr std::string_view websocket_version = "13";

[[nodiscard]] std::string base64_of(std::span<const std::byte> bytes) {
    namespace base64 = boost::beast::detail::base64;
    std::string text(base64::encoded_size(bytes.size()), '\0');
    text.resize(base64::encode(text.data(), bytes.data(), bytes.size()));
    return text;
}

[[nodiscard]] bool is_websocket_key(std::string_view key) noexcept {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return key.size() == key_letters && key.substr(key_letters - 2) == "==" &&
           key.substr(0, key_letters - 2).find_first_not_of(alphabet) == std::string_view::npos;
}

/// Calls `f` for each member of a list, "a, b", until it returns true; whether it did.
template <class F>
bool any_member(std::string_view list, F f) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        const std::string_view member = trim(list.substr(0, comma));
        if (!member.empty() && f(member)) return true;
        list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
    return false;
}

/// With regard to case, as names of subprotocols are.
[[nodiscard]] bool is_member(std::string_view list, std::string_view name) {
    return any_member(list, [name](std::string_view member) { return member == name; });
}

/// What a browser says about the page that asks: see `websocket_options::origins`.
[[nodiscard]] bool is_welcome(const header_list& headers, std::string_view origins) {
    const std::vector<std::string_view> said = headers.get_all("Origin");
    if (said.empty() || origins == "*") return true; // not a browser
    if (said.size() > 1) return false;
    const std::string_view origin = said.front();
    if (!origins.empty()) return any_member(origins, [origin](std::string_view member) { return equal_names(member, origin); });
    const std::size_t scheme = origin.find("://");
    return scheme != std::string_view::npos && equal_names(origin.substr(scheme + 3), headers.get("Host"));
}

} // namespace

void fill_random(std::span<std::byte> out) {
    constexpr std::size_t most = 256; // that the call gives at once
    while (!out.empty()) {
        const std::size_t size = std::min(out.size(), most);
        if (::getentropy(out.data(), size) != 0) throw std::system_error(errno, std::generic_category(), "getentropy");
        out = out.subspan(size);
    }
}

std::string websocket_accept_key(std::string_view key) {
    namespace beast = boost::beast::detail;
    constexpr std::string_view salt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 1.3
    beast::sha1_context context;
    std::array<std::byte, beast::sha1_context::digest_size> digest{};
    beast::init(context);
    beast::update(context, key.data(), key.size());
    beast::update(context, salt.data(), salt.size());
    beast::finish(context, digest.data());
    return base64_of(digest);
}

std::string new_websocket_key() {
    std::array<std::byte, 16> bytes{};
    fill_random(bytes);
    return base64_of(bytes);
}

void require_subprotocols(std::string_view list) {
    if (any_member(list, [](std::string_view name) { return !is_token(name); }))
        throw std::invalid_argument("subprotocols are tokens with commas in between, and '" + std::string(list) + "' is something else");
}

// --- server

std::optional<response> refuse_websocket(const request& q, std::string_view origins) {
    const header_list& h = q.headers;
    if (q.method != "GET") return response(405, "a WebSocket handshake is a GET").set("Allow", "GET");
    if (q.minor_version < 1 || !h.has_token("Upgrade", "websocket") || !h.has_token("Connection", "Upgrade"))
        return response(426, "this is a WebSocket").set("Upgrade", "websocket");
    const std::vector<std::string_view> versions = h.get_all("Sec-WebSocket-Version");
    if (versions.size() != 1 || versions.front() != websocket_version)
        return response(426, "this is WebSocket version 13")
            .set("Upgrade", "websocket")
            .set("Sec-WebSocket-Version", websocket_version);
    const std::vector<std::string_view> keys = h.get_all("Sec-WebSocket-Key");
    if (keys.size() != 1 || !is_websocket_key(keys.front())) return response(400, "Sec-WebSocket-Key is not the base64 of 16 bytes");
    if (!q.body.empty()) return response(400, "a WebSocket handshake has no body");
    if (!is_welcome(h, origins)) return response(403, "pages of this origin may not connect");
    return std::nullopt;
}

std::string choose_subprotocol(const header_list& offer, std::string_view ours) {
    const std::vector<std::string_view> lists = offer.get_all("Sec-WebSocket-Protocol");
    std::string chosen;
    any_member(ours, [&](std::string_view name) {
        const bool offered = std::any_of(lists.begin(), lists.end(), [name](std::string_view list) { return is_member(list, name); });
        if (offered) chosen = name;
        return offered;
    });
    return chosen;
}

// --- client

void throw_bad_websocket_url(std::string_view url, std::string_view reason) {
    throw std::invalid_argument("'" + std::string(url.substr(0, 255)) + "' is not the URL of a WebSocket that we can connect to: " +
                                std::string(reason));
}

namespace {

/// Letters that can stand in a request line.
[[nodiscard]] bool is_visible(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

void require_sendable(const header& h) {
    constexpr std::string_view family = "Sec-WebSocket-";
    for (const std::string_view ours : {"Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"}) {
        if (equal_names(h.name, ours) || equal_names(std::string_view(h.name).substr(0, family.size()), family))
            throw std::invalid_argument("the header " + h.name + " of a WebSocket handshake is not the caller's to set");
    }
    header_list().add(h.name, h.value); // throws
}

void field_line(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

} // namespace

websocket_url::websocket_url(std::string_view url) {
    constexpr std::string_view plain = "ws://";
    constexpr std::string_view encrypted = "wss://";
    if (!is_visible(url)) throw_bad_websocket_url(url, "spaces and what is not ASCII must be written as %XX");
    secure = equal_names(url.substr(0, encrypted.size()), encrypted);
    if (secure) port = 443;
    if (!secure && !equal_names(url.substr(0, plain.size()), plain)) throw_bad_websocket_url(url, "it does not begin with ws:// or wss://");
    const std::string_view rest = url.substr(secure ? encrypted.size() : plain.size());
    if (rest.find('#') != std::string_view::npos) throw_bad_websocket_url(url, "it has a fragment");
    const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
    authority = rest.substr(0, path);
    target = rest.substr(path);
    if (!target.starts_with('/')) target.insert(0, "/");
    if (authority.find('@') != std::string::npos) throw_bad_websocket_url(url, "a user name has no place in it");

    const std::size_t bracket = authority.rfind(']'); // of an IPv6 address
    const std::size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
    host = authority.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty() || host.find_first_of("[]") != std::string::npos) throw_bad_websocket_url(url, "it has no host");
    if (colon == std::string::npos) return;
    const char* const end = authority.data() + authority.size();
    const auto [stop, error] = std::from_chars(authority.data() + colon + 1, end, port);
    if (error != std::errc() || stop != end || port == 0) throw_bad_websocket_url(url, "its port is not a number from 1 to 65535");
}

std::string websocket_request(std::string_view authority, std::string_view target, std::string_view key, std::string_view subprotocols,
                              std::span<const header> headers) {
    if (authority.empty() || !is_visible(authority))
        throw std::invalid_argument("a WebSocket handshake needs a host, and '" + std::string(authority) + "' is none");
    if (!target.starts_with('/') || !is_visible(target))
        throw std::invalid_argument("the target of a WebSocket handshake is a path, and '" + std::string(target) + "' is none");
    require_subprotocols(subprotocols);
    std::string out;
    out.append("GET ").append(target).append(" HTTP/1.1\r\n");
    field_line(out, "Host", authority);
    field_line(out, "Upgrade", "websocket");
    field_line(out, "Connection", "Upgrade");
    field_line(out, "Sec-WebSocket-Key", key);
    field_line(out, "Sec-WebSocket-Version", websocket_version);
    if (!trim(subprotocols).empty()) field_line(out, "Sec-WebSocket-Protocol", subprotocols);
    for (const header& h : headers) {
        require_sendable(h);
        field_line(out, h.name, h.value);
    }
    out.append("\r\n");
    return out;
}

std::size_t head_end(std::string_view received) noexcept {
    constexpr std::string_view empty_line = "\r\n\r\n";
    const std::size_t at = received.find(empty_line);
    return at == std::string_view::npos ? at : at + empty_line.size();
}

namespace {

[[noreturn]] void throw_answer(std::string_view url, std::string_view detail) {
    throw error(error_kind::protocol, "GET", url, "the answer to the WebSocket handshake is wrong: " + std::string(detail));
}

/// The fields of a head, which ends with an empty line.
[[nodiscard]] header_list fields_of(std::string_view head, std::string_view url) {
    header_list fields;
    for (;;) {
        const std::size_t end = head.find("\r\n");
        const std::string_view line = head.substr(0, end);
        if (line.empty()) return fields;
        const std::size_t colon = line.find(':');
        const std::string_view name = line.substr(0, colon);
        if (colon == std::string_view::npos || !is_token(name) || !is_field_value(line)) throw_answer(url, "a line of it is not a header");
        fields.add(name, line.substr(colon + 1));
        head.remove_prefix(end + 2);
    }
}

/// The status of "HTTP/1.1 101 …"; 0 if that is not what it is.
[[nodiscard]] int answer_status(std::string_view line) noexcept {
    constexpr std::string_view protocol = "HTTP/1.1 ";
    unsigned status = 0; // three digits: no sign
    if (!line.starts_with(protocol) || line.size() < protocol.size() + 3) return 0;
    const char* const digits = line.data() + protocol.size();
    const bool ends = line.size() == protocol.size() + 3 || digits[3] == ' ';
    const bool is_number = std::from_chars(digits, digits + 3, status).ptr == digits + 3;
    return ends && is_number && status >= 100 ? static_cast<int>(status) : 0;
}

} // namespace

std::string check_websocket_answer(std::string_view head, std::string_view key, std::string_view subprotocols,
                                   std::string_view url) {
    const std::size_t line_end = head.find("\r\n");
    const std::string_view line = head.substr(0, line_end);
    const int status = answer_status(line);
    if (status == 0) throw_answer(url, "it is not HTTP/1.1");
    if (status != 101) {
        const std::string detail = "the WebSocket handshake was answered with " + std::string(line.substr(line.find(' ') + 1));
        throw error(error_kind::bad_status, "GET", url, detail, 0, status);
    }
    const header_list fields = fields_of(head.substr(line_end + 2), url);
    if (!fields.has_token("Upgrade", "websocket") || !fields.has_token("Connection", "Upgrade"))
        throw_answer(url, "no upgrade to websocket");
    const std::vector<std::string_view> accepted = fields.get_all("Sec-WebSocket-Accept");
    if (accepted.size() != 1 || accepted.front() != websocket_accept_key(key))
        throw_answer(url, "its Sec-WebSocket-Accept is not for our key");
    if (!fields.get("Sec-WebSocket-Extensions").empty()) throw_answer(url, "an extension that we did not ask for");
    const std::vector<std::string_view> chosen = fields.get_all("Sec-WebSocket-Protocol");
    if (chosen.empty()) return {};
    if (chosen.size() > 1 || !is_member(subprotocols, chosen.front())) throw_answer(url, "a subprotocol that we did not ask for");
    return std::string(chosen.front());
}

} // namespace eddy::http::detail
