#include "json.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace http_service {

namespace {

// How many bytes the character that `text` begins with has in UTF-8; 0 if it is none. Forms that are too long,
// surrogates and what is beyond Unicode are told by the second byte.
std::size_t utf8_size(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const unsigned first = byte(0);
    const unsigned second = byte(1);
    if (first < 0x80) return 1;
    const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    for (std::size_t i = 1; i < size; ++i)
        if ((byte(i) & 0xc0U) != 0x80) return 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
    return size;
}

} // namespace

std::string in_quotes(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t size = utf8_size(text);
        const auto c = static_cast<unsigned char>(text.front());
        if (size == 0)
            out += "\\ufffd";
        else if (c < 0x20 || c == 0x7f)
            out += fmt::format("\\u{:04x}", unsigned{c});
        else if (c == '"' || c == '\\')
            (out += '\\') += text.front();
        else
            out += text.substr(0, size);
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out += '"';
}

eddy::http::response json(int status, std::string text) {
    return eddy::http::response(status, std::move(text) + "\n", "application/json");
}

eddy::http::response json_error(int status, std::string_view what) {
    return json(status, "{\"error\":" + in_quotes(what) + "}");
}

} // namespace http_service
