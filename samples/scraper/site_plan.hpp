// The pages of the embedded site: a few hundred, linked with each other, made from a number. The same number gives the
// same site, byte for byte, wherever it is made.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace scraper {

/// How a page behaves. The web has all of these.
enum class manner {
    plain,     // answers at once
    slow,      // answers after a while
    flaky,     // answers 503 at first
    hanging,   // never answers
    truncated, // ends in the middle
    rude,      // closes the connection instead of an answer
    garbage,   // answers, but not in HTTP
};

struct site_page {
    manner how = manner::plain;
    int status = 200;
    std::string content_type = "text/html; charset=utf-8";
    std::string body{};
    std::string location{}; // of a redirect
    int delay_ms = 0;       // of a slow page
    int failures = 0;       // of a flaky one
};

class site_plan {
public:
    explicit site_plan(std::uint32_t seed, int ordinary_pages = 300);

    /// Null if there is no such page; that, too, is one of the site's traps.
    [[nodiscard]] const site_page* find(std::string_view path) const;
    [[nodiscard]] const std::map<std::string, site_page, std::less<>>& pages() const noexcept { return pages_; }

private:
    std::map<std::string, site_page, std::less<>> pages_;
};

} // namespace scraper
