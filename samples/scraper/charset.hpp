// What bytes of a page mean as text.
#pragma once

#include <string>
#include <string_view>

namespace scraper {

struct decoded_text {
    std::string text;    // always valid UTF-8, without NUL
    std::string charset; // the name it was read as, in lower case
};

/// Reads the bytes of an HTML page as text. Whoever speaks first is believed, as in browsers: a byte order mark, the
/// charset of `content_type` (the HTTP header; may be empty), a `<meta>` near the top. If nobody speaks, or of a
/// charset that is unknown here, it is UTF-8 if it is valid UTF-8, else Windows-1252 (which is what browsers make of
/// Latin-1, too). What cannot be read is replaced by U+FFFD.
[[nodiscard]] decoded_text decode_html(std::string_view bytes, std::string_view content_type);

} // namespace scraper
