// Files of cookies in Netscape's format: an error that names the line, or cookies that are written and read back as they were.
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../io/http/src/cookie_text.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using eddy::http::cookie;
namespace detail = eddy::http::detail;

/// Of any bytes; none if they are no such file.
std::vector<cookie> read(std::string_view text) {
    try {
        return detail::parse_cookie_file(text, "jar");
    } catch (const std::runtime_error& e) {
        fuzz::require(std::string_view(e.what()).starts_with("'jar', line "), "an error names file and line");
    }
    return {};
}

/// The fields of a cookie taken from lines, so that what no file can say is tried too.
cookie cookie_of(std::string_view& rest) {
    cookie c;
    for (std::string* const field : {&c.name, &c.value, &c.domain, &c.path}) *field = fuzz::take_line(rest);
    const std::string_view flags = fuzz::take_line(rest);
    c.subdomains = flags.find('s') != std::string_view::npos;
    c.secure = flags.find('t') != std::string_view::npos;
    c.http_only = flags.find('h') != std::string_view::npos;
    const auto seconds = static_cast<std::int64_t>(fuzz::number_of(fuzz::take_line(rest)));
    if (seconds != 0) c.expires = std::chrono::sys_seconds(std::chrono::seconds(seconds));
    return c;
}

bool may_be_set(const cookie& c) {
    try {
        detail::check_cookie(c);
        return true;
    } catch (const std::invalid_argument& e) {
        fuzz::require(*e.what() != '\0', "a refusal says why");
        return false;
    }
}

void check_written(const std::vector<cookie>& all) {
    fuzz::require(detail::parse_cookie_file(detail::cookie_file(all), "jar") == all, "what is written is read back");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    const std::vector<cookie> all = read(text);
    for (const cookie& c : all) fuzz::require(may_be_set(c), "what is read may be set");
    check_written(all);
    std::string_view rest = text;
    const cookie c = cookie_of(rest);
    if (may_be_set(c)) check_written({c});
    return 0;
}
