// What a page says: its title, how much text it has, where it links to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text.hpp"
#include "url.hpp"

namespace scraper {

struct page_link {
    url target;
    bool nofollow =
        false; // the page asks crawlers not to go there: rel=nofollow, or a <meta name=robots> for all its links
};

struct page_content {
    std::string title;
    std::string charset;
    text_statistics text;           // of what a reader sees: without scripts and styles
    std::vector<page_link> links{}; // each target once, in order of appearance; web addresses only
};

/// Parses an HTML page, however broken; all text in the result is valid UTF-8. Takes a while (milliseconds for a big
/// page) and touches nothing but its arguments, so it is work for the pool: `co_await offload(parse_page, …)`.
/// `address` is where the page came from, `content_type` the HTTP header of that name, or empty.
[[nodiscard]] page_content parse_page(const std::string& html, const std::string& content_type, const url& address);

} // namespace scraper
