#include "text.hpp"

#include <array>
#include <cstdint>

namespace scraper {
namespace {

struct range {
    char32_t first;
    char32_t last;
};

template <std::size_t N>
bool is_in(const std::array<range, N>& ranges, char32_t c) noexcept {
    for (const range& r : ranges)
        if (c >= r.first && c <= r.last) return true;
    return false;
}

bool is_white_space(char32_t c) noexcept {
    constexpr std::array<range, 8> ranges{{{0x09, 0x0D},
                                           {0x20, 0x20},
                                           {0x85, 0x85},
                                           {0xA0, 0xA0},
                                           {0x1680, 0x1680},
                                           {0x2000, 0x200A},
                                           {0x2028, 0x202F},
                                           {0x3000, 0x3000}}};
    return is_in(ranges, c);
}

// Scripts without spaces: a character is the best guess at a word.
bool is_word_alone(char32_t c) noexcept {
    constexpr std::array<range, 6> ranges{
        {{0x3041, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xF900, 0xFAFF}, {0xFF66, 0xFF9D}, {0x20000, 0x323AF}}};
    return is_in(ranges, c);
}

// A letter or digit. Outside of ASCII: whatever is no punctuation, symbol or control character.
bool is_word_part(char32_t c) noexcept {
    if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    constexpr std::array<range, 17> others{{{0x80, 0xA9},
                                            {0xAB, 0xB4},
                                            {0xB6, 0xB9},
                                            {0xBB, 0xBF},
                                            {0xD7, 0xD7},
                                            {0xF7, 0xF7},
                                            {0x2000, 0x206F},
                                            {0x20A0, 0x20CF},
                                            {0x2190, 0x2BFF},
                                            {0x3000, 0x3004},
                                            {0x3008, 0x3020},
                                            {0xE000, 0xF8FF},
                                            {0xFE10, 0xFE6F},
                                            {0xFF00, 0xFF0F},
                                            {0xFF1A, 0xFF20},
                                            {0xFFF0, 0xFFFF},
                                            {0x1F000, 0x1FAFF}}};
    return !is_in(others, c);
}

bool is_apostrophe(char32_t c) noexcept {
    return c == '\'' || c == 0x2019;
}

// How a first byte says that more follow: their number, the bits it holds itself, and the smallest character that may
// be written at this length.
struct lead {
    std::size_t more;
    char32_t bits;
    char32_t smallest;
};

lead read_lead(unsigned char byte) noexcept {
    if (byte >= 0xC2 && byte <= 0xDF) return {1, byte & 0x1FU, 0x80};
    if (byte >= 0xE0 && byte <= 0xEF) return {2, byte & 0x0FU, 0x800};
    if (byte >= 0xF0 && byte <= 0xF4) return {3, byte & 0x07U, 0x10000};
    return {0, 0, 0};
}

} // namespace

decoded take_character(std::string_view& text) noexcept {
    const auto first = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    if (first < 0x80) return {first, true};
    const lead l = read_lead(first);
    if (l.more == 0) return {replacement_character, false};
    char32_t c = l.bits;
    for (std::size_t i = 0; i < l.more; ++i) {
        if (text.empty()) return {replacement_character, false};
        const auto byte = static_cast<unsigned char>(text.front());
        if ((byte & 0xC0U) != 0x80U) return {replacement_character, false}; // not ours: left for the next call
        c = (c << 6U) | (byte & 0x3FU);
        text.remove_prefix(1);
    }
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (c < l.smallest || c > 0x10FFFF || surrogate) return {replacement_character, false};
    return {c, true};
}

void append_character(std::string& out, char32_t c) {
    const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0U | (c >> 6U));
        put(0x80U | (c & 0x3FU));
    } else if (c < 0x10000) {
        put(0xE0U | (c >> 12U));
        put(0x80U | ((c >> 6U) & 0x3FU));
        put(0x80U | (c & 0x3FU));
    } else {
        put(0xF0U | (c >> 18U));
        put(0x80U | ((c >> 12U) & 0x3FU));
        put(0x80U | ((c >> 6U) & 0x3FU));
        put(0x80U | (c & 0x3FU));
    }
}

bool is_valid_utf8(std::string_view text) noexcept {
    while (!text.empty())
        if (!take_character(text).valid) return false;
    return true;
}

std::string to_valid_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const char32_t c = take_character(text).character;
        append_character(out, c == 0 ? replacement_character : c);
    }
    return out;
}

text_statistics count(std::string_view text) noexcept {
    text_statistics result;
    bool in_word = false;
    bool in_space = true; // white space at the start does not count
    bool after_apostrophe = false;
    while (!text.empty()) {
        const char32_t c = take_character(text).character;
        if (is_white_space(c)) {
            if (!in_space) ++result.characters;
            in_space = true;
            in_word = after_apostrophe = false;
            continue;
        }
        in_space = false;
        ++result.characters;
        if (is_word_alone(c)) {
            ++result.words;
            in_word = after_apostrophe = false;
        } else if (is_word_part(c)) {
            if (!in_word && !after_apostrophe) ++result.words;
            in_word = true;
            after_apostrophe = false;
        } else {
            after_apostrophe = in_word && is_apostrophe(c);
            in_word = false;
        }
    }
    if (in_space && result.characters > 0) --result.characters; // nor does white space at the end
    return result;
}

std::string collapse_white_space(std::string_view text) {
    std::string out;
    bool pending = false;
    while (!text.empty()) {
        const char32_t c = take_character(text).character;
        if (is_white_space(c)) {
            pending = !out.empty();
            continue;
        }
        if (pending) out += ' ';
        pending = false;
        append_character(out, c);
    }
    return out;
}

} // namespace scraper
