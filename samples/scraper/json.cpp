#include "json.hpp"

#include <fmt/format.h>

#include "text.hpp"

namespace scraper {

std::string json_string(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        switch (const char32_t c = take_character(text).character) {
        case '"':
            out += "\\\"";
            break;
        case '\\':
            out += "\\\\";
            break;
        case '\n':
            out += "\\n";
            break;
        case '\r':
            out += "\\r";
            break;
        case '\t':
            out += "\\t";
            break;
        default:
            if (c < 0x20 || c == 0x7F)
                out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
            else
                append_character(out, c);
        }
    }
    return out + '"';
}

json_object& json_object::add(std::string_view key, std::string_view value) {
    return add_raw(key, json_string(value));
}

json_object& json_object::add(std::string_view key, bool value) {
    return add_raw(key, value ? "true" : "false");
}

json_object& json_object::add(std::string_view key, const std::vector<std::string>& values) {
    std::string list = "[";
    for (const std::string& value : values) {
        if (list.size() > 1) list += ',';
        list += json_string(value);
    }
    return add_raw(key, list + "]");
}

json_object& json_object::add_fixed(std::string_view key, double value, int decimals) {
    return add_raw(key, fmt::format("{:.{}f}", value, decimals));
}

json_object& json_object::add_raw(std::string_view key, std::string_view value) {
    if (text_.size() > 1) text_ += ',';
    text_ += '"';
    text_ += key;
    text_ += "\":";
    text_ += value;
    return *this;
}

} // namespace scraper
