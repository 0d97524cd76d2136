#include "site_plan.hpp"

#include <set>

#include "catch.hpp"
#include "page.hpp"
#include "robots.hpp"

using namespace scraper;

namespace {

std::string fingerprint(const site_plan& plan) {
    std::string all;
    for (const auto& [path, page] : plan.pages())
        all += path + '\n' + std::to_string(page.status) + page.content_type + page.location +
               std::to_string(page.delay_ms) + page.body;
    return all;
}

} // namespace

TEST_CASE("the same number gives the same site, another number another one") {
    CHECK(fingerprint(site_plan(7)) == fingerprint(site_plan(7)));
    CHECK(fingerprint(site_plan(7)) != fingerprint(site_plan(8)));
}

TEST_CASE("there are a few hundred pages, and pages of every manner") {
    const site_plan plan(1);
    std::set<manner> manners;
    std::set<int> statuses;
    for (const auto& [path, page] : plan.pages()) {
        manners.insert(page.how);
        statuses.insert(page.status);
    }
    CHECK(plan.pages().size() > 300);
    CHECK(manners.size() == 7);
    CHECK(statuses == std::set<int>{200, 204, 301, 302, 307, 308, 500});
}

TEST_CASE("every page can be reached from the first one") {
    const site_plan plan(1);
    std::set<std::string> reached{"/"};
    std::vector<std::string> next{"/"};
    while (!next.empty()) {
        const std::string path = next.back();
        next.pop_back();
        const site_page* page = plan.find(path);
        if (!page) continue;
        const url address = parse_url("http://h" + path);
        std::vector<std::string> targets;
        if (!page->location.empty()) {
            if (const auto target = resolve(address, page->location)) targets.push_back(target->target);
        } else {
            for (const page_link& l : parse_page(page->body, page->content_type, address).links)
                targets.push_back(l.target.target);
        }
        for (const std::string& target : targets)
            if (reached.insert(target).second) next.push_back(target);
    }
    for (const auto& [path, page] : plan.pages()) {
        INFO(path);
        CHECK((path == "/robots.txt" || reached.count(path) == 1));
    }
    CHECK(reached.count("/missing/1") == 1);
}

TEST_CASE("robots.txt closes a part of the site") {
    const site_plan plan(1);
    const robots_rules rules = robots_rules::parse(plan.find("/robots.txt")->body, "eddy-scraper");
    CHECK_FALSE(rules.allows("/private/1"));
    CHECK_FALSE(rules.allows("/trap"));
    CHECK(rules.allows("/private/open"));
    CHECK(rules.allows("/page/1"));
}
