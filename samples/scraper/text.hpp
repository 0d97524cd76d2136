// UTF-8 text: reading it character by character, making it valid, counting what is in it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace scraper {

/// What is put in the place of bytes that are no UTF-8.
inline constexpr char32_t replacement_character = 0xFFFD;

/// Takes the first character off `text`, which must not be empty. Of bytes that are no valid UTF-8 (overlong forms,
/// surrogates and cut sequences too) it takes as many as belong together and sets `valid` to false.
struct decoded {
    char32_t character;
    bool valid;
};
[[nodiscard]] decoded take_character(std::string_view& text) noexcept;

void append_character(std::string& out, char32_t character);

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

/// A copy with U+FFFD in the place of what is invalid, and of NUL, which C libraries take for the end.
[[nodiscard]] std::string to_valid_utf8(std::string_view text);

struct text_statistics {
    std::size_t characters = 0; // code points; a run of white space counts as one
    std::size_t words = 0;
};

/// Counts without knowing the language: a word is a run of letters and digits, with apostrophes inside; each character
/// of a script that is written without spaces (Han, Hiragana, Katakana) counts as one.
[[nodiscard]] text_statistics count(std::string_view text) noexcept;

/// Runs of white space become one blank; none is left at the ends.
[[nodiscard]] std::string collapse_white_space(std::string_view text);

} // namespace scraper
