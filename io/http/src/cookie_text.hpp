// Cookies as lines of Netscape's file format, which libcurl, curl, wget and browsers' tools read and write: domain, TRUE if it
// is for what is below that too, path, TRUE if it is for TLS only, time of its end or 0, name, value, with tabs in between.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/http/cookie.hpp>

namespace eddy::http::detail {

/// Throws `std::invalid_argument` for what is no cookie, or not one that may be set.
void check_cookie(const cookie& c);
/// Without the end of the line. The cookie has to be one that passes `check_cookie`.
[[nodiscard]] std::string cookie_line(const cookie& c);
/// Nothing if it is not of that form.
[[nodiscard]] std::optional<cookie> parse_cookie_line(std::string_view line);

/// The text of a file. Lines that are empty, comments, and cookies that `check_cookie` refuses are left out. Throws
/// `std::runtime_error`, which names file and line, for a line that is something else.
[[nodiscard]] std::vector<cookie> parse_cookie_file(std::string_view text, const std::string& path);
[[nodiscard]] std::string cookie_file(const std::vector<cookie>& cookies);

} // namespace eddy::http::detail
