#include "glob.hpp"

#include <algorithm>
#include <optional>

namespace redis_cache {

namespace {

/// [a-z], [^abc]: whether `c` is one of them. Moves the pattern behind it.
bool in_set(std::string_view& pattern, char c) {
    pattern.remove_prefix(1);
    const bool inverted = pattern.starts_with('^');
    if (inverted) pattern.remove_prefix(1);
    bool found = false;
    while (!pattern.empty() && pattern.front() != ']') {
        if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
        const char low = pattern.front();
        char high = low;
        if (pattern.size() > 2 && pattern[1] == '-' && pattern[2] != ']') {
            high = pattern[2];
            pattern.remove_prefix(2);
        }
        pattern.remove_prefix(1);
        found = found || (std::min(low, high) <= c && c <= std::max(low, high));
    }
    if (!pattern.empty()) pattern.remove_prefix(1);
    return found != inverted;
}

/// One character of a pattern without a star in front.
bool matches_one(std::string_view& pattern, char c) {
    if (pattern.front() == '[') return in_set(pattern, c);
    const bool any = pattern.front() == '?';
    if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
    const bool same = pattern.front() == c;
    pattern.remove_prefix(1);
    return any || same;
}

} // namespace

bool matches(std::string_view pattern, std::string_view text) {
    std::optional<std::string_view> after_star;
    std::string_view text_at_star;
    while (!text.empty() || !pattern.empty()) {
        if (pattern.starts_with('*')) {
            pattern.remove_prefix(1);
            after_star = pattern;
            text_at_star = text;
            continue;
        }
        if (!pattern.empty() && !text.empty() && matches_one(pattern, text.front())) {
            text.remove_prefix(1);
            continue;
        }
        if (!after_star || text_at_star.empty()) return false;
        text_at_star.remove_prefix(1);
        text = text_at_star;
        pattern = *after_star;
    }
    return true;
}

} // namespace redis_cache
