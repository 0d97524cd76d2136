// What the scraper reads off the web. The first line says what: "url", "robots" or "page".
#include <optional>
#include <stdexcept>

#include "fuzz/fuzz.hpp"
#include "page.hpp"
#include "robots.hpp"
#include "text.hpp"
#include "url.hpp"

// libcurl 7.88 does not free a host's name that it could not bring into its ASCII form (curl_url_get, CURLU_PUNYCODE). That we
// free what it gives us is seen by the scraper's tests under the sanitizers.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
    return "leak:libcurl.so\n";
}

namespace {

void address(std::string_view rest) {
    const std::string_view base = fuzz::take_line(rest);
    std::optional<scraper::url> from;
    try {
        from = scraper::parse_url(base);
    } catch (const scraper::url_error&) { // is none
        return;
    }
    fuzz::require_equal(scraper::parse_url(from->text).text, from->text, "an address and its normal form");
    if (const std::optional<scraper::url> to = scraper::resolve(*from, rest))
        fuzz::require_equal(scraper::parse_url(to->text).text, to->text, "a link's address and its normal form");
}

void robots(std::string_view rest) {
    const std::string_view target = fuzz::take_line(rest);
    const scraper::robots_rules rules = scraper::robots_rules::parse(rest, "eddy");
    static_cast<void>(rules.allows(target));
}

void page(std::string_view rest) {
    static const scraper::url address = scraper::parse_url("http://example.com/a/b");
    const std::string_view type = fuzz::take_line(rest);
    const scraper::page_content got = scraper::parse_page(std::string(rest), std::string(type), address);
    for (const scraper::page_link& l : got.links) fuzz::require(l.target.text.starts_with("http"), "a link is one of the web");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest = fuzz::text_of(data, size);
    const std::string_view what = fuzz::take_line(rest);
    if (what == "url") address(rest);
    if (what == "robots") robots(rest);
    if (what == "page") page(rest);
    return 0;
}
