#include "robots.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "url.hpp"

namespace scraper {
namespace {

constexpr std::size_t size_limit = 500 * 1024;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r";
    const auto first = text.find_first_not_of(blank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

bool equal_without_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// One line "key: value  # comment".
struct line {
    std::string_view key;
    std::string_view value;
};

std::optional<line> split(std::string_view text) {
    text = text.substr(0, text.find('#'));
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    return line{trimmed(text.substr(0, colon)), trimmed(text.substr(colon + 1))};
}

// The name of a crawler in a user-agent line: "NameBot/2.1 (…)" counts as "NameBot".
std::string_view product_token(std::string_view value) {
    return value.substr(0, value.find_first_of("/ \t("));
}

// In a pattern `*` and a final `$` are special; as characters of an address they are written %2A and %24 (RFC 9309,
// section 2.2.3). So those two are encoded wherever they mean themselves, in patterns and in targets.
std::string encode_special(std::string text, std::string_view special) {
    std::string out;
    for (const char c : text) {
        if (special.find(c) == std::string_view::npos)
            out += c;
        else
            out += c == '*' ? "%2A" : "%24";
    }
    return out;
}

std::string normal_pattern(std::string_view value) {
    const bool anchored = value.ends_with('$');
    if (anchored) value.remove_suffix(1);
    return encode_special(normalise_percent_encoding(value), "$") + (anchored ? "$" : "");
}

// Does the pattern match a prefix of the text, or all of it if it ends with `$`? The usual way with wildcards: on a
// mismatch, let the last `*` swallow one character more. Never recursive, and never exponential.
bool matches(std::string_view pattern, std::string_view text) {
    const bool anchored = pattern.ends_with('$');
    if (anchored) pattern.remove_suffix(1);
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t after_star = std::string_view::npos; // in the pattern
    std::size_t swallowed_to = 0;                    // in the text
    for (;;) {
        if (p == pattern.size() && (!anchored || t == text.size())) return true;
        if (p < pattern.size() && pattern[p] == '*') {
            after_star = ++p;
            swallowed_to = t;
        } else if (p < pattern.size() && t < text.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (after_star != std::string_view::npos && swallowed_to < text.size()) {
            p = after_star;
            t = ++swallowed_to;
        } else {
            return false;
        }
    }
}

} // namespace

robots_rules robots_rules::parse(std::string_view text, std::string_view agent) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);                                // a byte order mark
    if (text.size() > size_limit) text = text.substr(0, text.find_last_of("\r\n", size_limit)); // no half a line

    robots_rules ours;      // of all groups that name us
    robots_rules everyones; // of all groups that name *
    bool named = false;
    bool for_us = false; // about the group that is being read
    bool for_all = false;
    bool in_rules = true; // the next user-agent line begins a new group
    while (!text.empty()) {
        const auto end = text.find_first_of("\r\n");
        const std::optional<line> l = split(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (!l) continue;
        if (equal_without_case(l->key, "user-agent")) {
            if (std::exchange(in_rules, false)) for_us = for_all = false;
            for_all = for_all || l->value == "*";
            for_us = for_us || equal_without_case(product_token(l->value), agent);
            named = named || for_us;
        } else if (const bool allow = equal_without_case(l->key, "allow");
                   allow || equal_without_case(l->key, "disallow")) {
            in_rules = true;
            if (l->value.empty()) continue; // "Disallow:" forbids nothing
            if (for_us) ours.rules_.push_back({normal_pattern(l->value), allow});
            if (for_all) everyones.rules_.push_back({normal_pattern(l->value), allow});
        }
    }
    return named ? ours : everyones;
}

bool robots_rules::allows(std::string_view target) const {
    const std::string text = encode_special(normalise_percent_encoding(target), "*$");
    if (text == "/robots.txt") return true;
    const rule* best = nullptr;
    for (const rule& r : rules_) {
        if (!matches(r.pattern, text)) continue;
        const bool longer = !best || r.pattern.size() > best->pattern.size();
        const bool wins_tie = best && r.pattern.size() == best->pattern.size() && r.allow;
        if (longer || wins_tie) best = &r;
    }
    return !best || best->allow;
}

} // namespace scraper
