#include <eddy/redis/value.hpp>

#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <system_error>

#include <eddy/redis/error.hpp>

namespace eddy::redis {
namespace {

[[noreturn]] void throw_mismatch(const value& v, std::string_view wanted) {
    v.check();
    std::string text = "a redis reply is ";
    text.append(v.is_nil() ? "nil" : v.kind() == kind::integer || v.kind() == kind::array ? "an " : "a ");
    if (!v.is_nil()) text.append(name_of(v.kind())).append(" (").append(v.describe(64)).append(")");
    throw type_mismatch(text.append(", not ").append(wanted));
}

/// The number that all of `text` is.
template <class T>
[[nodiscard]] bool parse(std::string_view text, T& out) noexcept {
    const std::from_chars_result r = std::from_chars(text.data(), text.data() + text.size(), out);
    return r.ec == std::errc() && r.ptr == text.data() + text.size();
}

/// Redis writes "inf" and "-inf", and may write a "+".
[[nodiscard]] bool parse_double(std::string_view text, double& out) noexcept {
    if (text == "inf" || text == "+inf" || text == "-inf") {
        out = std::numeric_limits<double>::infinity() * (text.front() == '-' ? -1 : 1);
        return true;
    }
    return parse(text, out);
}

void append_quoted(std::string& out, std::string_view text, std::size_t most) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        if (out.size() >= most) break;
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out.append({'\\', c});
        else if (byte < 0x20 || byte == 0x7f)
            out.append({'\\', 'x', digits[byte >> 4], digits[byte & 15]});
        else
            out += c;
    }
    out += '"';
}

void append_description(std::string& out, const value& v, std::size_t most) {
    switch (v.kind()) {
    case kind::nil: out += "nil"; return;
    case kind::integer: out += std::to_string(v.as_integer()); return;
    case kind::status: out += v.as_string(); return;
    case kind::error: out.append("(error) ").append(v.error_text()); return;
    case kind::string: append_quoted(out, v.as_string(), most); return;
    case kind::array: break;
    }
    out += '[';
    bool first = true;
    for (const value& item : v.as_array()) {
        if (out.size() >= most) break;
        if (!first) out += ", ";
        first = false;
        append_description(out, item, most);
    }
    out += ']';
}

} // namespace

std::string_view name_of(kind k) noexcept {
    switch (k) {
    case kind::nil: return "nil";
    case kind::string: return "string";
    case kind::status: return "status";
    case kind::integer: return "integer";
    case kind::array: return "array";
    case kind::error: return "error";
    }
    return "unknown";
}

value::value(std::string text, redis::kind k) : content_(std::move(text)), kind_(k) {
    if (k != redis::kind::string && k != redis::kind::status && k != redis::kind::error)
        throw std::invalid_argument("a redis::value of a text is a string, a status or an error");
}

bool value::is_ok() const noexcept {
    return kind_ == redis::kind::status && *std::get_if<std::string>(&content_) == "OK";
}

std::string_view value::as_string() const& {
    if (kind_ != redis::kind::string && kind_ != redis::kind::status) throw_mismatch(*this, "a string");
    return *std::get_if<std::string>(&content_);
}

long long value::as_integer() const {
    if (const auto* n = std::get_if<long long>(&content_)) return *n;
    long long n = 0;
    if ((kind_ != redis::kind::string && kind_ != redis::kind::status) || !parse(as_string(), n)) throw_mismatch(*this, "an integer");
    return n;
}

double value::as_double() const {
    if (const auto* n = std::get_if<long long>(&content_)) return static_cast<double>(*n);
    double d = 0;
    if ((kind_ != redis::kind::string && kind_ != redis::kind::status) || !parse_double(as_string(), d)) throw_mismatch(*this, "a number");
    return d;
}

std::span<const value> value::as_array() const& {
    if (kind_ != redis::kind::array) throw_mismatch(*this, "an array");
    return *std::get_if<std::vector<value>>(&content_);
}

const value& value::operator[](std::size_t i) const& {
    const std::span<const value> items = as_array();
    if (i >= items.size())
        throw std::out_of_range("a redis reply has " + std::to_string(items.size()) + " items, there is none at " + std::to_string(i));
    return items[i];
}

std::size_t value::size() const noexcept {
    if (const auto* items = std::get_if<std::vector<value>>(&content_)) return items->size();
    if (const auto* text = std::get_if<std::string>(&content_)) return text->size();
    return 0;
}

std::string value::take_string() {
    static_cast<void>(as_string());
    std::string text = std::move(*std::get_if<std::string>(&content_));
    *this = value();
    return text;
}

std::vector<value> value::take_array() {
    static_cast<void>(as_array());
    std::vector<value> items = std::move(*std::get_if<std::vector<value>>(&content_));
    *this = value();
    return items;
}

std::vector<std::string> value::take_strings() {
    std::vector<value> items = take_array();
    std::vector<std::string> texts;
    texts.reserve(items.size());
    for (value& item : items) texts.push_back(item.is_nil() ? std::string() : item.take_string());
    return texts;
}

std::string_view value::error_text() const& {
    if (kind_ != redis::kind::error) throw_mismatch(*this, "an error");
    return *std::get_if<std::string>(&content_);
}

void value::check() const {
    if (kind_ == redis::kind::error) throw error({}, *std::get_if<std::string>(&content_));
}

std::string value::describe(std::size_t most) const {
    std::string text;
    append_description(text, *this, most);
    if (text.size() > most) {
        text.resize(most);
        text += "…";
    }
    return text;
}

} // namespace eddy::redis
