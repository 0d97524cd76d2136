#include <eddy/http/headers.hpp>

#include <algorithm>
#include <stdexcept>

namespace eddy::http {

namespace detail {
namespace {

[[nodiscard]] constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] constexpr bool is_token_char(char c) noexcept {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

} // namespace

bool equal_names(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view s) noexcept {
    return !s.empty() && std::all_of(s.begin(), s.end(), is_token_char);
}

bool is_field_value(std::string_view s) noexcept {
    return std::none_of(s.begin(), s.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

std::string_view trim(std::string_view s) noexcept {
    const std::size_t first = s.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return s.substr(first, s.find_last_not_of(" \t") - first + 1);
}

} // namespace detail

namespace {

void check_field(std::string_view name, std::string_view value) {
    if (!detail::is_token(name))
        throw std::invalid_argument("'" + std::string(name) + "' cannot be the name of a header: it must be a token like Content-Type");
    if (!detail::is_field_value(value))
        throw std::invalid_argument("the value of header '" + std::string(name) + "' contains a line break or a NUL");
}

} // namespace

void header_list::add(std::string_view name, std::string_view value) {
    check_field(name, value);
    fields_.emplace_back(std::string(name), std::string(detail::trim(value)));
}

void header_list::set(std::string_view name, std::string_view value) {
    check_field(name, value);
    const auto same = [name](const header& h) { return detail::equal_names(h.name, name); };
    const auto first = std::find_if(fields_.begin(), fields_.end(), same);
    if (first == fields_.end()) return add(name, value);
    std::string text(detail::trim(value));
    first->value = std::move(text);
    fields_.erase(std::remove_if(std::next(first), fields_.end(), same), fields_.end());
}

std::size_t header_list::erase(std::string_view name) noexcept {
    return std::erase_if(fields_, [name](const header& h) { return detail::equal_names(h.name, name); });
}

const std::string& header_list::get(std::string_view name) const noexcept {
    static const std::string none;
    for (const header& h : fields_) {
        if (detail::equal_names(h.name, name)) return h.value;
    }
    return none;
}

std::vector<std::string_view> header_list::get_all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const header& h : fields_) {
        if (detail::equal_names(h.name, name)) values.emplace_back(h.value);
    }
    return values;
}

bool header_list::contains(std::string_view name) const noexcept {
    return std::any_of(fields_.begin(), fields_.end(), [name](const header& h) { return detail::equal_names(h.name, name); });
}

bool header_list::has_token(std::string_view name, std::string_view token) const noexcept {
    for (const header& h : fields_) {
        if (!detail::equal_names(h.name, name)) continue;
        std::string_view rest = h.value;
        while (!rest.empty()) {
            const std::size_t comma = rest.find(',');
            if (detail::equal_names(detail::trim(rest.substr(0, comma)), token)) return true;
            rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
        }
    }
    return false;
}

} // namespace eddy::http
