#include "cookie_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <system_error>

#include <eddy/http/headers.hpp>

namespace eddy::http::detail {
namespace {

constexpr std::string_view http_only_mark = "#HttpOnly_";
constexpr std::string_view first_lines = "# Netscape HTTP Cookie File\n# https://curl.se/docs/http-cookies.html\n\n";

[[nodiscard]] bool has_controls(std::string_view text) noexcept {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

[[noreturn]] void refuse(const cookie& c, const char* why) {
    throw std::invalid_argument("http: the cookie '" + c.name + "' of '" + c.domain + "' cannot be set: " + why);
}

[[nodiscard]] std::optional<bool> parse_flag(std::string_view text) noexcept {
    if (equal_names(text, "TRUE")) return true;
    if (equal_names(text, "FALSE")) return false;
    return std::nullopt;
}

[[nodiscard]] std::optional<std::int64_t> parse_seconds(std::string_view text) noexcept {
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return n;
}

[[nodiscard]] bool starts_with_name(std::string_view text, std::string_view start) noexcept {
    return equal_names(text.substr(0, start.size()), start);
}

} // namespace

// libcurl would drop some of these without a word.
void check_cookie(const cookie& c) {
    for (const std::string* const text : {&c.name, &c.value, &c.domain, &c.path}) {
        if (has_controls(*text)) refuse(c, "there is a control character in it");
    }
    if (c.name.empty() || c.name.find_first_of(";=") != std::string::npos) refuse(c, "its name is empty, or there is a ';' or '=' in it");
    if (c.value.find(';') != std::string::npos) refuse(c, "there is a ';' in its value");
    if (trim(c.name) != c.name || trim(c.value) != c.value) refuse(c, "it begins or ends with a space");
    if (c.domain.empty() || c.domain.find_first_of(" /#") != std::string::npos || c.domain.front() == '.')
        refuse(c, "its domain has to be a host without a dot before it");
    if (c.path.empty() || c.path.front() != '/') refuse(c, "its path has to begin with '/'");
    if (starts_with_name(c.name, "__Secure-") && !c.secure) refuse(c, "one of that name has to be secure");
    if (starts_with_name(c.name, "__Host-") && (!c.secure || c.subdomains || c.path != "/"))
        refuse(c, "one of that name has to be secure, for the host alone and for the path '/'");
    if (c.expires && c.expires->time_since_epoch().count() <= 0) refuse(c, "its time is before 1970");
}

std::string cookie_line(const cookie& c) {
    const auto flag = [](bool on) { return on ? "\tTRUE\t" : "\tFALSE\t"; };
    std::string line(c.http_only ? http_only_mark : std::string_view());
    line.append(c.subdomains ? "." : "").append(c.domain).append(flag(c.subdomains)).append(c.path).append(flag(c.secure));
    line += std::to_string(c.expires ? c.expires->time_since_epoch().count() : 0);
    return line.append("\t").append(c.name).append("\t").append(c.value);
}

std::optional<cookie> parse_cookie_line(std::string_view line) {
    cookie c;
    if (line.starts_with(http_only_mark)) {
        c.http_only = true;
        line.remove_prefix(http_only_mark.size());
    }
    std::array<std::string_view, 6> fields;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const std::size_t tab = line.find('\t');
        if (tab == std::string_view::npos && i + 1 < fields.size()) return std::nullopt; // a value may be left out, with its tab
        fields[i] = line.substr(0, tab);
        line.remove_prefix(std::min(fields[i].size() + 1, line.size()));
    }
    const std::optional<bool> below = parse_flag(fields[1]);
    const std::optional<bool> secure = parse_flag(fields[3]);
    const std::optional<std::int64_t> expires = parse_seconds(fields[4]);
    if (!below || !secure || !expires) return std::nullopt;
    c.domain = fields[0].starts_with('.') ? fields[0].substr(1) : fields[0];
    c.subdomains = *below;
    c.path = fields[2];
    c.secure = *secure;
    if (*expires != 0) c.expires = std::chrono::sys_seconds(std::chrono::seconds(*expires));
    c.name = fields[5];
    c.value = line;
    return c;
}

std::vector<cookie> parse_cookie_file(std::string_view text, const std::string& path) {
    std::vector<cookie> all;
    for (int number = 1; !text.empty(); ++number) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (trim(line).empty() || (line.starts_with('#') && !line.starts_with(http_only_mark))) continue;
        std::optional<cookie> c = parse_cookie_line(line);
        if (!c) throw std::runtime_error("'" + path + "', line " + std::to_string(number) + ": this is no cookie in Netscape's format");
        try {
            check_cookie(*c);
            all.push_back(*std::move(c));
        } catch (const std::invalid_argument&) { // of another program, which saw it otherwise
        }
    }
    return all;
}

std::string cookie_file(const std::vector<cookie>& cookies) {
    std::string text(first_lines);
    for (const cookie& c : cookies) text.append(cookie_line(c)).append("\n");
    return text;
}

} // namespace eddy::http::detail
