// Web addresses, in one normal form, so that two spellings of the same address count as one page.
//
// The parsing is libcurl's: whoever fetches an address should also be the one that reads it. Two parsers that disagree
// about where the host ends are a classic hole.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace scraper {

/// An absolute http or https address without a fragment: lower-case scheme and host, no default port, no `.` or `..` in
/// the path, percent-encodings in upper case and only where they are needed (RFC 3986, section 6.2.2).
struct url {
    std::string text;   // all of it
    std::string origin; // scheme://host[:port]: what a robots.txt speaks for
    std::string host;   // what --per-host and --same-host look at
    std::string target; // path and query: what a robots.txt speaks about
};

/// The text is no address that can be fetched; the message names it and says why.
class url_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Throws `url_error`.
[[nodiscard]] url parse_url(std::string_view text);

/// What a link in a page at `base` points to. Nothing if it leads out of the web (mailto:, javascript:) or nowhere at
/// all; pages are full of such links, so that is no error.
[[nodiscard]] std::optional<url> resolve(const url& base, std::string_view reference);

/// Brings percent-encodings into one form: those of unreserved characters are decoded, the others are in upper case,
/// and what is outside of ASCII is encoded.
[[nodiscard]] std::string normalise_percent_encoding(std::string_view text);

} // namespace scraper
