// After RFC 9309; the tables of its sections 2.2.2 and 2.2.3 among others.
#include "robots.hpp"

#include "catch.hpp"

using namespace scraper;

namespace {

bool allowed(std::string_view robots, std::string_view target, std::string_view agent = "eddy-scraper") {
    return robots_rules::parse(robots, agent).allows(target);
}

} // namespace

TEST_CASE("without rules everything is allowed") {
    CHECK(robots_rules().allows("/x"));
    CHECK(allowed("", "/x"));
    CHECK(allowed("User-agent: *\nDisallow:\n", "/x"));
    CHECK(allowed("<html>not found</html>", "/x"));
}

TEST_CASE("a rule matches from the start of the path") {
    const char* robots = "User-agent: *\nDisallow: /private\n";
    CHECK_FALSE(allowed(robots, "/private"));
    CHECK_FALSE(allowed(robots, "/private/x"));
    CHECK_FALSE(allowed(robots, "/privateer?x"));
    CHECK(allowed(robots, "/public/private"));
    CHECK(allowed(robots, "/Private"));
}

TEST_CASE("the longest match decides, wherever it stands") {
    const char* robots = "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/c\n";
    CHECK_FALSE(allowed(robots, "/a/x"));
    CHECK(allowed(robots, "/a/b"));
    CHECK_FALSE(allowed(robots, "/a/b/c"));
}

TEST_CASE("of equally long matches the allowing one wins") {
    CHECK(allowed("User-agent: *\nAllow: /p\nDisallow: /p\n", "/p"));
    CHECK(allowed("User-agent: *\nDisallow: /p\nAllow: /p\n", "/p"));
}

TEST_CASE("wildcards") {
    CHECK_FALSE(allowed("User-agent: *\nDisallow: *.gif$\n", "/a/b.gif"));
    CHECK(allowed("User-agent: *\nDisallow: *.gif$\n", "/a/b.gif?x"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /*/c\n", "/a/b/c/d"));
    CHECK(allowed("User-agent: *\nDisallow: /a$\n", "/ab"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /a$\n", "/a"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /a*b*c$\n", "/aXbYcZbWc"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /*\n", "/"));
    CHECK(allowed("User-agent: *\nDisallow: /**x\n", "/yyy"));
    CHECK(allowed("User-agent: *\nDisallow: /\nAllow: /$\n", "/"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /\nAllow: /$\n", "/x"));
}

TEST_CASE("a pattern with many wildcards does not take for ever") {
    std::string robots = "User-agent: *\nDisallow: /";
    for (int i = 0; i < 200; ++i) robots += "a*";
    CHECK(allowed(robots + "b$\n", "/" + std::string(4000, 'a')));
}

TEST_CASE("special characters that mean themselves are encoded") {
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /file-%2A\n", "/file-*"));
    CHECK(allowed("User-agent: *\nDisallow: /file-%2A\n", "/file-x"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /file-%24\n", "/file-$"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /a$b\n", "/a$b"));
}

TEST_CASE("percent-encodings are compared in one form") {
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /foo/bar/\xE3\x83\x84\n", "/foo/bar/%E3%83%84"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /foo/bar/%e3%83%84\n", "/foo/bar/%E3%83%84"));
    CHECK_FALSE(allowed("User-agent: *\nDisallow: /foo/bar/%62%61%7A\n", "/foo/bar/baz"));
}

TEST_CASE("the group that names the crawler counts, not the one for all") {
    const char* robots = "User-agent: *\nDisallow: /\n\n"
                         "User-agent: eddy-scraper\nDisallow: /ours\n\n"
                         "User-agent: other\nDisallow: /other\n";
    CHECK(allowed(robots, "/x"));
    CHECK_FALSE(allowed(robots, "/ours"));
    CHECK(allowed(robots, "/other"));
    CHECK_FALSE(allowed(robots, "/x", "third"));
}

TEST_CASE("a group without rules for the crawler allows everything") {
    CHECK(allowed("User-agent: *\nDisallow: /\nUser-agent: eddy-scraper\n", "/x"));
    CHECK(allowed("User-agent: eddy-scraper\nDisallow:\n\nUser-agent: *\nDisallow: /\n", "/x"));
}

TEST_CASE("names are compared without case and without version") {
    CHECK_FALSE(allowed("USER-AGENT: Eddy-Scraper/2.1\nDISALLOW: /x\n", "/x"));
    CHECK(allowed("User-agent: eddy\nDisallow: /x\n", "/x"));
}

TEST_CASE("several agents share a group, and groups for one agent are put together") {
    const char* robots = "User-agent: a\nUser-agent: eddy-scraper\nDisallow: /1\n"
                         "User-agent: b\nDisallow: /2\n"
                         "User-agent: eddy-scraper\nDisallow: /3\n";
    CHECK_FALSE(allowed(robots, "/1"));
    CHECK(allowed(robots, "/2"));
    CHECK_FALSE(allowed(robots, "/3"));
}

TEST_CASE("comments, blank lines, other line ends, other records and a byte order mark") {
    const char* robots = "\xEF\xBB\xBFUser-agent: * # all\r\n\r\nSitemap: http://x/\r\nCrawl-delay: 5\r\n  Disallow : "
                         "/a # not this\r\nnonsense\r\nDisallow: /b";
    CHECK_FALSE(allowed(robots, "/a"));
    CHECK_FALSE(allowed(robots, "/b"));
    CHECK(allowed(robots, "/c"));
    CHECK_FALSE(allowed("User-agent: *\rDisallow: /a\r", "/a"));
}

TEST_CASE("rules before the first agent are nobody's") {
    CHECK(allowed("Disallow: /x\nUser-agent: *\nDisallow: /y\n", "/x"));
}

TEST_CASE("robots.txt itself is always allowed") {
    CHECK(allowed("User-agent: *\nDisallow: /\n", "/robots.txt"));
}

TEST_CASE("a huge file is read up to its limit, and never half a line") {
    std::string robots = "User-agent: *\nDisallow: /early\n";
    while (robots.size() < 600 * 1024) robots += "Disallow: /filler/filler/filler\n";
    robots += "Disallow: /late\n";
    CHECK_FALSE(allowed(robots, "/early"));
    CHECK(allowed(robots, "/late"));
    CHECK(allowed(robots, "/fill"));
}
