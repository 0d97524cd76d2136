#include "site_plan.hpp"

#include <array>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace scraper {
namespace {

// Engines of the standard library give the same numbers everywhere; its distributions do not, hence this one.
class dice {
public:
    explicit dice(std::uint32_t seed) : engine_(seed) {}
    int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint32_t>(n)); }
    template <class T, std::size_t N>
    const T& one_of(const std::array<T, N>& choice) {
        return choice[static_cast<std::size_t>(below(static_cast<int>(N)))];
    }

private:
    std::mt19937 engine_;
};

std::string words(dice& d, int n) {
    constexpr std::array<std::string_view, 24> lexicon{
        "eddy",   "river",   "whirl",    "drift", "current", "stone", "bridge", "reed",
        "ripple", "shallow", "Strömung", "Fluß",  "rivière", "été",   "onde",   "remolino",
        "año",    "вода",    "река",     "渦",    "川",      "νερό",  "don’t",  "well-known"};
    std::string text;
    for (int i = 0; i < n; ++i) {
        if (i > 0) text += ' ';
        text += d.one_of(lexicon);
    }
    return text;
}

// The same page can be linked to in many ways; a scraper has to see that it is one page.
std::string spelling(dice& d, int page) {
    switch (d.below(6)) {
    case 0:
        return fmt::format("{}", page); // next to this page
    case 1:
        return fmt::format("../page/{}", page);
    case 2:
        return fmt::format("/page/./{}#part-{}", page, d.below(9));
    case 3:
        return fmt::format("/%70age/{}", page);
    default:
        return fmt::format("/page/{}", page);
    }
}

std::string link(dice& d, std::string_view href) {
    return fmt::format("<li><a href=\"{}\">{}</a></li>\n", href, words(d, 2));
}

std::string html(std::string_view title, std::string_view text, std::string_view links, std::string_view head = "") {
    return fmt::format(
        "<!doctype html>\n<html>\n<head>{}<title>{}</title>\n<style>p {{ margin: 1em }}</style></head>\n"
        "<body>\n<h1>{}</h1>\n<p>{}</p>\n<ul>\n{}</ul>\n<script>var not = \"text\";</script>\n</body>\n</html>\n",
        head, title, title, text, links);
}

// Pages with something the matter with them, by address.
using page_map = std::map<std::string, site_page, std::less<>>;

void add_redirects(page_map& pages) {
    const auto redirect = [&](const char* from, int status, const char* to) {
        pages[from] = site_page{.status = status, .content_type = "text/plain", .body = "elsewhere", .location = to};
    };
    redirect("/moved/once", 301, "/page/1");
    redirect("/moved/thrice", 302, "again");
    redirect("/moved/again", 307, "/moved/and-again");
    redirect("/moved/and-again", 308, "/at/last");
    redirect("/round/a", 302, "/round/b");
    redirect("/round/b", 302, "/round/c");
    redirect("/round/c", 302, "/round/a");
    redirect("/moved/nowhere", 301, "mailto:nobody@example.org");
    pages["/at/last"] = site_page{.body = html("At last", "three redirects later", "")};
}

void add_failures(page_map& pages, dice& d) {
    for (int i = 1; i <= 3; ++i) {
        const std::string text = html(fmt::format("Trouble {}", i), words(d, 300), "");
        pages[fmt::format("/error/{}", i)] = site_page{.status = 500, .body = html("Error", "It is me, not you.", "")};
        pages[fmt::format("/flaky/{}", i)] = site_page{.how = manner::flaky, .body = text, .failures = 1 + i % 2};
        pages[fmt::format("/hanging/{}", i)] = site_page{.how = manner::hanging};
        pages[fmt::format("/truncated/{}", i)] = site_page{.how = manner::truncated, .body = text};
    }
    pages["/rude"] = site_page{.how = manner::rude};
    pages["/garbage"] =
        site_page{.how = manner::garbage, .body = "220 mail.example.org ESMTP, and no HTTP at all\r\n\r\n"};
}

void add_charsets(page_map& pages) {
    const std::string body = html("Caf\xE9", "L'\xE9t\xE9 \xE0 la rivi\xE8re", ""); // ISO-8859-1
    pages["/latin1/declared"] = site_page{.content_type = "text/html; charset=ISO-8859-1", .body = body};
    pages["/latin1/meta"] =
        site_page{.content_type = "text/html",
                  .body = html("Caf\xE9", "L'\xE9t\xE9 \xE0 la rivi\xE8re", "", "<meta charset=\"iso-8859-1\">")};
    pages["/latin1/undeclared"] = site_page{.content_type = "text/html", .body = body};
    pages["/utf8/invalid"] = site_page{.body = html("Half a caf\xC3", "bytes \xFF\xFE that \xC0\xAF mean nothing", "")};
    pages["/utf8/nul"] = site_page{.body = html(std::string("zero\0byte", 9), "text", "")};
}

void add_oddities(page_map& pages, dice& d) {
    std::string huge;
    while (huge.size() < 200'000) huge += "<p>" + words(d, 200) + "</p>\n";
    pages["/big"] = site_page{.body = html("Big", huge, "")};
    while (huge.size() < 6'000'000) huge += std::string(huge, 0, 1'000'000);
    pages["/huge"] = site_page{.body = html("Huge", huge, "")};
    std::string deep;
    for (int i = 0; i < 20'000; ++i) deep += "<div>";
    pages["/deep"] = site_page{.body = html("Deep", deep, "")};
    pages["/empty"] = site_page{};
    pages["/no-content"] = site_page{.status = 204, .content_type = ""};
    pages["/text.txt"] = site_page{.content_type = "text/plain; charset=utf-8", .body = "no <a href=/trap>HTML</a>\n"};
    pages["/image.png"] =
        site_page{.content_type = "image/png", .body = std::string("\x89PNG\r\n\x1A\n\0\0\0\rIHDR", 16)};
    pages["/meta-nofollow"] =
        site_page{.body = html("Go no further", "…", link(d, "/trap"), "<meta name=\"robots\" content=\"nofollow\">")};
    pages["/base"] = site_page{.body = html("Base", "…", link(d, "based"), "<base href=\"/below/\">")};
    pages["/below/based"] = site_page{.body = html("Below", "found by its base", "")};
    for (const char* path : {"/private/1", "/private/2", "/trap"})
        pages[path] = site_page{.body = html("Private", "not for robots", "")};
    pages["/private/open"] = site_page{.body = html("Open", "for robots, too", "")};
    pages["/robots.txt"] = site_page{
        .content_type = "text/plain",
        .body = "# The site's rules\nUser-agent: *\nDisallow: /private\nAllow: /private/open$\nDisallow: /trap\n"};
}

// What the ordinary pages link to beside each other.
std::vector<std::string> special_links(const page_map& pages) {
    std::vector<std::string> links;
    for (const auto& [path, page] : pages)
        if (path != "/robots.txt" && path != "/trap" && path != "/below/based") links.push_back(path);
    for (int i = 1; i <= 5; ++i) links.push_back(fmt::format("/missing/{}", i));
    for (const char* href : {"mailto:nobody@example.org", "javascript:void(0)", "http://[", "/image.png#x", ""})
        links.emplace_back(href);
    return links;
}

} // namespace

site_plan::site_plan(std::uint32_t seed, int ordinary_pages) {
    dice d(seed);
    add_redirects(pages_);
    add_failures(pages_, d);
    add_charsets(pages_);
    add_oddities(pages_, d);

    std::vector<std::string> extra(static_cast<std::size_t>(ordinary_pages));
    for (const std::string& href : special_links(pages_))
        extra[static_cast<std::size_t>(d.below(ordinary_pages / 3))] += link(d, href);
    extra[0] += "<li><a rel=\"nofollow\" href=\"/trap\">not for you</a></li>\n";

    for (int i = 0; i < ordinary_pages; ++i) {
        std::string links = std::move(extra[static_cast<std::size_t>(i)]);
        // A tree with three branches at each page reaches them all; some more links make a web of it.
        for (int child = 3 * i + 1; child <= 3 * i + 3 && child < ordinary_pages; ++child)
            links += link(d, spelling(d, child));
        for (int n = d.below(5); n > 0; --n) links += link(d, spelling(d, d.below(ordinary_pages)));
        const bool slow = i % 13 == 5;
        pages_[fmt::format("/page/{}", i)] =
            site_page{.how = slow ? manner::slow : manner::plain,
                      .body = html(fmt::format("Page {}: {}", i, words(d, 3)), words(d, 50 + d.below(200)), links),
                      .delay_ms = slow ? 100 + d.below(300) : 0};
    }
    pages_["/"] = site_page{.body = html("The embedded site", words(d, 30), link(d, "/page/0"))};
}

const site_page* site_plan::find(std::string_view path) const {
    const auto at = pages_.find(path);
    return at == pages_.end() ? nullptr : &at->second;
}

} // namespace scraper
