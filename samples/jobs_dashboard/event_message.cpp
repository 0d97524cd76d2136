#include "event_message.hpp"

#include <cstdint>
#include <utility>

namespace jobs_dashboard {

namespace {

using eddy::jobs::json;

constexpr std::size_t largest_message = std::size_t{4} << 20;

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool is_event(const json& e) {
    return e.is_object() && e.contains("type") && e["type"].is_string();
}

/// The text in the envelope.
std::optional<std::string> body_of(const json& envelope) {
    if (!envelope.is_object() || !envelope.contains("body") || !envelope["body"].is_string()) return std::nullopt;
    const std::string& body = envelope["body"].get_ref<const std::string&>();
    const json properties = envelope.value("properties", json());
    const bool encoded = properties.is_object() && properties.value("body_encoding", json()) == "base64";
    return encoded ? decode_base64(body) : body;
}

std::string database_in(std::string_view endpoint) {
    if (const auto at = endpoint.find("?db="); at != endpoint.npos) return std::string(endpoint.substr(at + 4));
    const auto slash = endpoint.rfind('/');
    return slash == endpoint.npos ? "0" : std::string(endpoint.substr(slash + 1));
}

} // namespace

std::optional<std::string> decode_base64(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    out.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int v = base64_value(c);
        if (v < 0) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(v);
        if ((count += 6) < 8) continue;
        count -= 8;
        out += static_cast<char>(bits >> count & 0xff);
    }
    return out;
}

std::vector<json> read_events(std::string_view message) {
    std::vector<json> events;
    if (message.size() > largest_message) return events;
    const std::optional<std::string> body = body_of(json::parse(message, nullptr, false));
    json content = body ? json::parse(*body, nullptr, false) : json();
    if (is_event(content)) events.push_back(std::move(content));
    else if (content.is_array())
        for (json& e : content)
            if (is_event(e)) events.push_back(std::move(e));
    return events;
}

std::string event_channels(std::string_view endpoint, std::string_view key_prefix) {
    std::string pattern;
    for (const char c : key_prefix) {
        if (std::string_view("*?[]\\^").find(c) != std::string_view::npos) pattern += '\\';
        pattern += c;
    }
    return pattern + "/" + database_in(endpoint) + ".celeryev/*";
}

} // namespace jobs_dashboard
