// Writing JSON (RFC 8259): just what the output needs, an object on one line.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace scraper {

/// The text in quotation marks. Quotation marks, backslashes and control characters are escaped, what is no valid UTF-8
/// becomes U+FFFD; so any bytes at all give a valid JSON string without a line break.
[[nodiscard]] std::string json_string(std::string_view text);

/// Builds an object member by member: json_object().add("n", 1).add("s", "x").str() is {"n":1,"s":"x"}.
/// Keys are the caller's own and are not escaped.
class json_object {
public:
    json_object& add(std::string_view key, std::string_view value);
    json_object& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
    json_object& add(std::string_view key, bool value);
    json_object& add(std::string_view key, const std::vector<std::string>& values);
    json_object& add_fixed(std::string_view key, double value, int decimals);
    template <std::integral N>
    json_object& add(std::string_view key, N value) {
        return add_raw(key, std::to_string(value));
    }

    [[nodiscard]] std::string str() const { return text_ + "}"; }

private:
    json_object& add_raw(std::string_view key, std::string_view value);
    std::string text_ = "{";
};

} // namespace scraper
