#include "escape.hpp"

#include <cstddef>

#include "websocket_frame.hpp"

namespace eddy::http::detail {

std::string escaped(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const bool utf8 = is_utf8(text);
    std::string out;
    out.reserve(text.size());
    const auto hex = [&](unsigned char u) { out.append("\\x").append(1, digits[u >> 4U]).append(1, digits[u & 0xFU]); };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto u = static_cast<unsigned char>(text[i]);
        const bool control = u < 0x20 || u == 0x7F;
        const bool c1 = utf8 && u == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0; // U+0080 to U+009F; a byte follows it
        if (c1) {
            hex(u);
            hex(static_cast<unsigned char>(text[++i]));
        } else if (control || (u >= 0x80 && !utf8)) {
            hex(u);
        } else {
            out += text[i];
        }
    }
    return out;
}

} // namespace eddy::http::detail
