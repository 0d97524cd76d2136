#include "text.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <limits>
#include <random>
#include <typeinfo>
#include <unistd.h>

#include <eddy/event_loop.hpp>
#include <eddy/jobs/error.hpp>

namespace eddy::jobs::detail {

namespace {

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> base64_values() {
    std::array<std::int8_t, 256> all{};
    for (auto& v : all) v = -1;
    for (std::size_t i = 0; i < base64_digits.size(); ++i) all[static_cast<unsigned char>(base64_digits[i])] = static_cast<std::int8_t>(i);
    return all;
}

/// Reads exactly `digits` of them.
bool read_digits(std::string_view& text, std::size_t digits, int& value) {
    if (text.size() < digits) return false;
    value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return true;
}
bool read_char(std::string_view& text, std::string_view any) {
    if (text.empty() || any.find(text.front()) == any.npos) return false;
    text.remove_prefix(1);
    return true;
}
/// A fraction after its point, in nanoseconds.
bool read_fraction(std::string_view& text, std::int64_t& nanoseconds) {
    std::int64_t unit = 100'000'000;
    std::size_t n = 0;
    for (; n < text.size() && text[n] >= '0' && text[n] <= '9'; ++n, unit /= 10) nanoseconds += (text[n] - '0') * unit;
    text.remove_prefix(n);
    return n > 0;
}
/// `Z`, `+HH:MM`, `+HHMM` or nothing, in minutes.
bool read_offset(std::string_view& text, int& minutes) {
    minutes = 0;
    if (text.empty() || read_char(text, "Zz")) return text.empty();
    const bool west = text.front() == '-';
    int h = 0, m = 0;
    if (!read_char(text, "+-") || !read_digits(text, 2, h)) return false;
    static_cast<void>(read_char(text, ":"));
    if (!text.empty() && !read_digits(text, 2, m)) return false;
    minutes = (west ? -1 : 1) * (h * 60 + m);
    return text.empty();
}

std::mt19937_64& random_source() {
    thread_local std::mt19937_64 source = [] {
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
        return std::mt19937_64(seed);
    }();
    return source;
}

/// Python's words for what JSON has no words for, outside of strings, as strings that no text has.
constexpr std::string_view not_a_number = "\\u0000NaN", infinite = "\\u0000+Inf", minus_infinite = "\\u0000-Inf";

bool replace_word(std::string_view text, std::size_t& i, std::string& out) {
    struct word {
        std::string_view text, instead;
    };
    static constexpr std::array<word, 3> words{word{"NaN", not_a_number}, word{"Infinity", infinite}, word{"-Infinity", minus_infinite}};
    for (const word& w : words) {
        if (text.substr(i, w.text.size()) != w.text) continue;
        out.append("\"").append(w.instead).append("\"");
        i += w.text.size() - 1;
        return true;
    }
    return false;
}
std::string without_python_words(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 64);
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string && c == '\\' && i + 1 < text.size()) {
            out += c;
            out += text[++i];
            continue;
        }
        if (c == '"') in_string = !in_string;
        if (in_string || !replace_word(text, i, out)) out += c;
    }
    return out;
}
/// What is copied, dumped and described goes down as deep as the text does: somebody else's text must not end our stack.
void require_shallow(std::string_view text) {
    constexpr int deepest = 200;
    bool in_string = false;
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '"') in_string = !in_string;
        else if (in_string) i += c == '\\' ? 1 : 0;
        else if (c == '[' || c == '{') ++depth;
        else if (c == ']' || c == '}') --depth;
        if (depth > deepest) throw malformed_message("JSON with more than " + std::to_string(deepest) + " lists and objects inside of each other");
    }
}
void restore_numbers(json& v) {
    if (v.is_structured()) {
        for (auto& item : v) restore_numbers(item);
    } else if (v.is_string()) {
        const auto& s = v.get_ref<const std::string&>();
        if (s.empty() || s[0] != '\0') return;
        if (s == std::string_view("\0NaN", 4)) v = std::numeric_limits<double>::quiet_NaN();
        else if (s == std::string_view("\0+Inf", 5)) v = std::numeric_limits<double>::infinity();
        else if (s == std::string_view("\0-Inf", 5)) v = -std::numeric_limits<double>::infinity();
    }
}

void append_repr_text(std::string& out, const std::string& s) {
    const char quote = s.find('\'') != s.npos && s.find('"') == s.npos ? '"' : '\'';
    out += quote;
    for (const char c : s) {
        if (c == '\n') out += "\\n";
        else if (c == '\\') out += "\\\\";
        else if (c == quote) (out += '\\') += c;
        else out += c;
        if (out.size() > 1000) break;
    }
    out += quote;
}
void append_repr(std::string& out, const json& v);
void append_repr_items(std::string& out, const json& list) {
    bool first = true;
    for (const auto& item : list) {
        if (out.size() > 1000) {
            out += ", ...";
            return;
        }
        if (!std::exchange(first, false)) out += ", ";
        append_repr(out, item);
    }
}
void append_repr(std::string& out, const json& v) {
    if (v.is_null()) {
        out += "None";
    } else if (v.is_boolean()) {
        out += v.get<bool>() ? "True" : "False";
    } else if (v.is_string()) {
        append_repr_text(out, v.get_ref<const std::string&>());
    } else if (v.is_array()) {
        out += '[';
        append_repr_items(out, v);
        out += ']';
    } else if (v.is_object()) {
        out += '{';
        bool first = true;
        for (const auto& [key, value] : v.items()) {
            if (out.size() > 1000) break;
            if (!std::exchange(first, false)) out += ", ";
            append_repr_text(out, key);
            out += ": ";
            append_repr(out, value);
        }
        out += '}';
    } else {
        out += v.dump();
    }
}

} // namespace

wall_time wall_now() {
    return this_loop().wall_now();
}
double to_unix(wall_time t) noexcept {
    return std::chrono::duration<double>(t.time_since_epoch()).count();
}
wall_time from_unix(double seconds) noexcept {
    return wall_time(std::chrono::duration_cast<wall_time::duration>(std::chrono::duration<double>(seconds)));
}

std::string to_base64(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t k) { return k < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[k])) : 0U; };
        const std::uint32_t three = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        out += base64_digits[three >> 18];
        out += base64_digits[three >> 12 & 63];
        out += i + 1 < bytes.size() ? base64_digits[three >> 6 & 63] : '=';
        out += i + 2 < bytes.size() ? base64_digits[three & 63] : '=';
    }
    return out;
}
std::optional<std::string> from_base64(std::string_view text) {
    static constexpr auto values = base64_values();
    std::string out;
    out.reserve(text.size() / 4 * 3 + 3);
    std::uint32_t bits = 0;
    int have = 0;
    std::size_t padding = 0, digits = 0;
    for (const char c : text) {
        if (c == '\n' || c == '\r') continue;
        ++digits;
        if (c == '=') {
            ++padding;
            continue;
        }
        const auto v = values[static_cast<unsigned char>(c)];
        if (v < 0 || padding > 0) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(v);
        if ((have += 6) >= 8) out += static_cast<char>(bits >> (have -= 8) & 0xff);
    }
    if (padding > 2 || digits % 4 != 0) return std::nullopt;
    return out;
}

std::string to_iso(wall_time t) {
    using namespace std::chrono;
    const auto micro = floor<microseconds>(t);
    const auto day = floor<days>(micro);
    const year_month_day date(day);
    const hh_mm_ss<microseconds> clock(micro - day);
    std::array<char, 64> text{};
    const int n = std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06d+00:00", static_cast<int>(date.year()),
                                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
    return std::string(text.data(), static_cast<std::size_t>(n));
}
std::optional<wall_time> from_iso(std::string_view text) {
    using namespace std::chrono;
    int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, offset = 0;
    std::int64_t fraction = 0;
    if (!read_digits(text, 4, y) || !read_char(text, "-") || !read_digits(text, 2, mo) || !read_char(text, "-") || !read_digits(text, 2, d)) return std::nullopt;
    if (!text.empty()) {
        if (!read_char(text, "T ") || !read_digits(text, 2, h) || !read_char(text, ":") || !read_digits(text, 2, mi)) return std::nullopt;
        if (read_char(text, ":") && !read_digits(text, 2, s)) return std::nullopt;
        if (read_char(text, ".") && !read_fraction(text, fraction)) return std::nullopt;
        if (!read_offset(text, offset)) return std::nullopt;
    }
    const year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
    if (!date.ok() || y < 1700 || y > 2260 || h > 24 || mi > 59 || s > 60) return std::nullopt; // the range of the clock
    return wall_time(duration_cast<wall_time::duration>(sys_days(date).time_since_epoch() + hours(h) + minutes(mi - offset) + seconds(s) + nanoseconds(fraction)));
}

namespace {

std::string uuid_text(std::uint64_t high, std::uint64_t low, unsigned version) {
    high = (high & 0xffffffffffff0fffU) | std::uint64_t{version} << 12;
    low = (low & 0x3fffffffffffffffU) | 0x8000000000000000U;
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32), static_cast<unsigned>(high >> 16 & 0xffff),
                  static_cast<unsigned>(high & 0xffff), static_cast<unsigned>(low >> 48), static_cast<unsigned long long>(low & 0xffffffffffffU));
    return text.data();
}
/// FNV-1a, and a mixer behind it that spreads the last bytes over all bits.
std::uint64_t hash_text(std::string_view text, std::uint64_t start) noexcept {
    std::uint64_t h = start;
    for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdU;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53U;
    return h ^ h >> 33;
}

} // namespace

std::string make_uuid() {
    std::mt19937_64& source = random_source();
    const std::uint64_t high = source();
    return uuid_text(high, source(), 4);
}
std::string uuid_of(std::string_view name) {
    return uuid_text(hash_text(name, 0xcbf29ce484222325U), hash_text(name, 0x9e3779b97f4a7c15U), 8);
}

json parse_json(std::string_view text) {
    require_shallow(text);
    json v = json::parse(text, nullptr, false);
    if (!v.is_discarded()) return v;
    if (text.find("NaN") == text.npos && text.find("Infinity") == text.npos) return json::parse(text); // throws, and says where
    v = json::parse(without_python_words(text));
    restore_numbers(v);
    return v;
}
std::optional<json> try_parse_json(std::string_view text) {
    try {
        return parse_json(text);
    } catch (const std::exception&) {
        return std::nullopt;
    }
}
std::string dump_json(const json& v) {
    return v.dump(-1, ' ', false, json::error_handler_t::replace);
}
std::string dump_strict(const json& v, std::string_view what) {
    try {
        return v.dump();
    } catch (const json::type_error&) {
        throw std::invalid_argument(std::string(what) + " has bytes that are no UTF-8, which JSON cannot hold: send them as base64, or as a list of numbers");
    }
}

std::string python_repr(const json& v) {
    std::string out;
    append_repr(out, v);
    return out;
}
std::string python_repr_tuple(const json& list) {
    std::string out = "(";
    append_repr_items(out, list);
    out += list.size() == 1 ? ",)" : ")";
    return out;
}

std::string host_name() {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') return "localhost";
    return host.data();
}
std::string exception_name(const std::exception& e) {
    int status = 0;
    char* const plain = abi::__cxa_demangle(typeid(e).name(), nullptr, nullptr, &status);
    std::string name = status == 0 ? plain : typeid(e).name();
    std::free(plain);
    return plain_name(std::move(name));
}
std::string plain_name(std::string type) {
    type.resize(std::min(type.find('<'), type.size()));
    if (const auto colon = type.rfind("::"); colon != type.npos) type.erase(0, colon + 2);
    return type;
}

} // namespace eddy::jobs::detail
