#include "charset.hpp"

#include <iconv.h>

#include <cerrno>
#include <cstddef>
#include <optional>

#include "text.hpp"

namespace scraper {
namespace {

constexpr std::size_t meta_range = 1024; // how far browsers look for a <meta>

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

// The value after "charset=", in quotes or without; empty if there is none. Good for `text/html; charset=x`,
// `<meta charset="x">` and `<meta http-equiv=… content="text/html; charset=x">`.
std::string charset_parameter(const std::string& lower_text, std::size_t from = 0) {
    constexpr std::string_view blank = " \t\r\n";
    const auto key = lower_text.find("charset", from);
    if (key == std::string::npos) return {};
    auto at = lower_text.find_first_not_of(blank, key + 7);
    if (at == std::string::npos || lower_text[at] != '=') return charset_parameter(lower_text, key + 7);
    at = lower_text.find_first_not_of(" \t\r\n\"'", at + 1);
    if (at == std::string::npos) return {};
    return lower_text.substr(at, lower_text.find_first_of(" \t\r\n\"';>/", at) - at);
}

std::string declared_in_meta(std::string_view bytes) {
    const std::string head = lower(bytes.substr(0, meta_range));
    for (auto at = head.find("<meta"); at != std::string::npos; at = head.find("<meta", at + 1)) {
        const std::string tag = head.substr(at, head.find('>', at) - at);
        if (std::string name = charset_parameter(tag); !name.empty()) return name;
    }
    return {};
}

// Pages that say Latin-1 or ASCII are full of Windows' quotation marks; browsers read them as Windows-1252.
std::string without_lies(const std::string& name) {
    if (name == "iso-8859-1" || name == "latin1" || name == "latin-1" || name == "us-ascii" || name == "ascii" ||
        name == "iso8859-1" || name == "iso_8859-1" || name == "cp1252")
        return "windows-1252";
    return name == "utf8" ? "utf-8" : name;
}

class converter {
public:
    explicit converter(const std::string& from) : handle_(iconv_open("UTF-8", from.c_str())) {}
    converter(const converter&) = delete;
    converter& operator=(const converter&) = delete;
    ~converter() {
        if (known()) iconv_close(handle_);
    }
    [[nodiscard]] bool known() const {
        return handle_ != iconv_t(-1);
    } // NOLINT(performance-no-int-to-ptr): its interface

    std::string convert(std::string_view bytes) {
        std::string in(bytes);
        char* next = in.data();
        std::size_t left = in.size();
        std::string out;
        while (left > 0) {
            char chunk[4096];
            char* end = chunk;
            std::size_t room = sizeof chunk;
            const bool failed = iconv(handle_, &next, &left, &end, &room) == static_cast<std::size_t>(-1);
            const int reason = errno;
            out.append(chunk, end);
            if (!failed || reason == E2BIG) continue;
            append_character(out, replacement_character); // a byte that means nothing, or a cut sequence
            ++next;
            --left;
        }
        return out;
    }

private:
    iconv_t handle_;
};

std::optional<std::string> convert(std::string_view bytes, const std::string& charset) {
    if (charset.empty()) return std::nullopt;
    if (charset == "utf-8") return to_valid_utf8(bytes);
    converter c(charset);
    if (!c.known()) return std::nullopt;
    return to_valid_utf8(c.convert(bytes)); // the NULs
}

// By a byte order mark, which is taken off.
std::string detect_mark(std::string_view& bytes) {
    struct mark {
        std::string_view bytes;
        const char* charset;
    };
    for (const mark& m : {mark{"\xEF\xBB\xBF", "utf-8"}, mark{"\xFE\xFF", "utf-16be"}, mark{"\xFF\xFE", "utf-16le"}}) {
        if (!bytes.starts_with(m.bytes)) continue;
        bytes.remove_prefix(m.bytes.size());
        return m.charset;
    }
    return {};
}

} // namespace

decoded_text decode_html(std::string_view bytes, std::string_view content_type) {
    std::string charset = detect_mark(bytes);
    if (charset.empty()) charset = without_lies(charset_parameter(lower(content_type)));
    if (std::optional<std::string> text = convert(bytes, charset)) return {std::move(*text), charset};

    charset = without_lies(declared_in_meta(bytes));
    if (charset.starts_with("utf-16")) charset = "utf-8"; // if it were, we could not have read the <meta>
    if (std::optional<std::string> text = convert(bytes, charset)) return {std::move(*text), charset};

    charset = is_valid_utf8(bytes) ? "utf-8" : "windows-1252";
    return {convert(bytes, charset).value_or(to_valid_utf8(bytes)), charset};
}

} // namespace scraper
