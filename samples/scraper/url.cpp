#include "url.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace scraper {
namespace {

struct url_deleter {
    void operator()(CURLU* handle) const noexcept { curl_url_cleanup(handle); }
};
using url_handle = std::unique_ptr<CURLU, url_deleter>;

url_handle make_handle() {
    url_handle handle(curl_url());
    if (!handle) throw std::bad_alloc();
    return handle;
}

// Sets an absolute address, or, if the handle has one already, resolves a relative one against it.
CURLUcode set_address(CURLU* handle, std::string_view text) {
    // Encodes blanks, which links often have (newer versions want to be told that they may be there). A scheme that libcurl does not know is no error yet: see `is_web`.
    return curl_url_set(handle, CURLUPART_URL, std::string(text).c_str(), CURLU_URLENCODE | CURLU_ALLOW_SPACE | CURLU_NON_SUPPORT_SCHEME);
}

// One part; empty if there is none.
std::string get_part(CURLU* handle, CURLUPart part, unsigned flags = 0) {
    char* text = nullptr;
    if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return {};
    std::string copy(text);
    curl_free(text);
    return copy;
}

bool is_web(CURLU* handle) {
    const std::string scheme = get_part(handle, CURLUPART_SCHEME);
    return scheme == "http" || scheme == "https";
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string text) {
    for (char& c : text) c = lower(c);
    return text;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n\f";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// For messages: a terminal should not obey what stands in an address.
std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
    return out;
}

std::string host_of(CURLU* handle) {
    const std::string host = get_part(handle, CURLUPART_HOST);
#ifdef CURLU_PUNYCODE // libcurl 7.88: an international name in the ASCII form that DNS and HTTP use
    const bool ascii_already = std::all_of(host.begin(), host.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    if (!ascii_already)
        if (const std::string ascii = get_part(handle, CURLUPART_HOST, CURLU_PUNYCODE); !ascii.empty()) return lower(ascii);
#endif
    return lower(host);
}

// Brings what libcurl has parsed into the normal form.
url normal_form(CURLU* handle) {
    url result;
    result.host = host_of(handle);
    result.origin = get_part(handle, CURLUPART_SCHEME) + "://" + result.host;
    if (const std::string port = get_part(handle, CURLUPART_PORT, CURLU_NO_DEFAULT_PORT); !port.empty())
        result.origin += ":" + port;
    result.target = normalise_percent_encoding(get_part(handle, CURLUPART_PATH));
    if (const std::string query = get_part(handle, CURLUPART_QUERY); !query.empty())
        result.target += "?" + normalise_percent_encoding(query);

    // A name and password stay in the address that is fetched, but make no other origin.
    std::string login = get_part(handle, CURLUPART_USER);
    if (const std::string password = get_part(handle, CURLUPART_PASSWORD); !password.empty()) login += ":" + password;
    result.text = result.origin + result.target;
    if (!login.empty()) result.text.insert(result.text.find("://") + 3, login + "@");
    return result;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool is_unreserved(char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

void append_encoded(std::string& out, char c) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', digits[byte >> 4U], digits[byte & 15U]};
}

} // namespace

url parse_url(std::string_view text) {
    const auto fail = [&](std::string_view why) {
        return url_error("'" + printable(text) + "' is not a web address: " + std::string(why));
    };
    const std::string_view address = trimmed(text);
    if (address.find('\0') != std::string_view::npos) throw fail("it holds a NUL byte");
    if (address.find("://") == std::string_view::npos) throw fail("it has no scheme (write http://… or https://…)");
    const url_handle handle = make_handle();
    if (const CURLUcode code = set_address(handle.get(), address); code != CURLUE_OK)
        throw fail(curl_url_strerror(code));
    if (!is_web(handle.get())) throw fail("only http and https can be fetched");
    return normal_form(handle.get());
}

std::optional<url> resolve(const url& base, std::string_view reference) {
    const std::string_view address = trimmed(reference);
    if (address.find('\0') != std::string_view::npos) return std::nullopt;
    const url_handle handle = make_handle();
    if (set_address(handle.get(), base.text) != CURLUE_OK) return std::nullopt;
    // To a browser these two are the page itself; libcurl takes the one for an error and loses the query at the other.
    const bool same_page = address.empty() || address.front() == '#';
    if (!same_page && set_address(handle.get(), address) != CURLUE_OK) return std::nullopt;
    if (!is_web(handle.get())) return std::nullopt;
    return normal_form(handle.get());
}

std::string normalise_percent_encoding(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
            const char byte = static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            if (is_unreserved(byte))
                out += byte;
            else
                append_encoded(out, byte);
            i += 2;
        } else if (static_cast<unsigned char>(c) >= 0x80 || static_cast<unsigned char>(c) <= 0x20) {
            append_encoded(out, c);
        } else {
            out += c;
        }
    }
    return out;
}

} // namespace scraper
