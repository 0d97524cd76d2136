#include "python_literal.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace jobs_dashboard {

namespace {

using eddy::jobs::json;

constexpr std::size_t shortest_that_may_be_cut = 1000;
constexpr int deepest = 50;

void append_utf8(std::string& out, std::uint32_t c) {
    const auto byte = [&](std::uint32_t bits) { out += static_cast<char>(bits); };
    if (c < 0x80) return byte(c);
    if (c < 0x800) return byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f));
    if (c < 0x10000) return byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
    byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
}

/// Reads from the front of a text. What cannot be read sets `bad`, and then nothing else matters.
class literal_reader {
public:
    explicit literal_reader(std::string_view text) : rest_(text) {}

    std::optional<json> read_all() {
        json v = value(0);
        skip_spaces();
        if (bad_ || !rest_.empty()) return std::nullopt;
        return v;
    }

private:
    void skip_spaces() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n' || rest_.front() == '\t')) rest_.remove_prefix(1);
    }
    bool take(char c) {
        skip_spaces();
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool take_word(std::string_view word) {
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    json fail() {
        bad_ = true;
        return {};
    }

    json value(int depth) {
        skip_spaces();
        if (bad_ || rest_.empty() || depth > deepest) return fail();
        switch (rest_.front()) {
        case '\'':
        case '"': return text();
        case '(': return list(')', depth);
        case '[': return list(']', depth);
        case '{': return object(depth);
        default: break;
        }
        if (take_word("None")) return {};
        if (take_word("True")) return true;
        if (take_word("False")) return false;
        return number();
    }

    json list(char end, int depth) {
        rest_.remove_prefix(1);
        json all = json::array();
        bool comma = true;
        while (!bad_ && !take(end)) {
            if (!comma) return fail();
            all.push_back(value(depth + 1));
            comma = take(',');
        }
        if (end == ')' && all.size() == 1 && !comma) return fail(); // "(2)" is no tuple
        return all;
    }
    json object(int depth) {
        rest_.remove_prefix(1);
        json all = json::object();
        bool comma = true;
        while (!bad_ && !take('}')) {
            skip_spaces();
            if (!comma || rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return fail();
            const json key = text();
            if (bad_ || !take(':')) return fail();
            all[key.get<std::string>()] = value(depth + 1);
            comma = take(',');
        }
        return all;
    }

    json number() {
        const std::string_view digits = rest_.substr(0, rest_.find_first_not_of("+-.0123456789eE"));
        rest_.remove_prefix(digits.size());
        const char* const end = digits.data() + digits.size();
        if (digits.find_first_of(".eE") == digits.npos) {
            std::int64_t n = 0;
            if (const auto r = std::from_chars(digits.data(), end, n); r.ec == std::errc() && r.ptr == end) return n;
            std::uint64_t u = 0;
            if (const auto r = std::from_chars(digits.data(), end, u); r.ec == std::errc() && r.ptr == end) return u;
            return fail();
        }
        double d = 0;
        if (const auto r = std::from_chars(digits.data(), end, d); r.ec != std::errc() || r.ptr != end || !std::isfinite(d)) return fail();
        return d;
    }

    json text() {
        const char quote = rest_.front();
        rest_.remove_prefix(1);
        std::string out;
        while (!bad_) {
            if (rest_.empty()) return fail();
            const char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == quote) return out;
            if (c == '\\')
                escape(out);
            else
                out += c;
        }
        return {};
    }
    void escape(std::string& out) {
        static constexpr std::string_view names = "\\'\"nrtabfv", values = "\\'\"\n\r\t\a\b\f\v";
        const char c = rest_.empty() ? '\0' : rest_.front();
        if (!rest_.empty()) rest_.remove_prefix(1);
        if (const auto at = names.find(c); at != names.npos) {
            out += values[at];
            return;
        }
        const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        std::uint32_t code = 0;
        const char* const begin = rest_.data();
        if (digits == 0 || rest_.size() < digits) return static_cast<void>(fail());
        const auto r = std::from_chars(begin, begin + digits, code, 16);
        if (r.ec != std::errc() || r.ptr != begin + digits || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return static_cast<void>(fail());
        rest_.remove_prefix(digits);
        append_utf8(out, code);
    }

    std::string_view rest_;
    bool bad_ = false;
};

} // namespace

std::optional<json> read_python_literal(std::string_view text) {
    if (text.size() >= shortest_that_may_be_cut || text.find("...") != text.npos) return std::nullopt;
    return literal_reader(text).read_all();
}

} // namespace jobs_dashboard
