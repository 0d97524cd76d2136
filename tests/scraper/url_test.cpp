#include "url.hpp"

#include "catch.hpp"

using namespace scraper;

namespace {

std::string resolved(const char* base, const char* reference) {
    const std::optional<url> u = resolve(parse_url(base), reference);
    return u ? u->text : "nothing";
}

std::string complaint(std::string_view text) {
    try {
        return "accepted as " + parse_url(text).text;
    } catch (const url_error& e) {
        return e.what();
    }
}

} // namespace

TEST_CASE("an address is taken apart") {
    const url u = parse_url("https://example.org:8443/a/b?c=d#e");
    CHECK(u.text == "https://example.org:8443/a/b?c=d");
    CHECK(u.origin == "https://example.org:8443");
    CHECK(u.host == "example.org");
    CHECK(u.target == "/a/b?c=d");
}

TEST_CASE("spellings of one address become one") {
    for (const char* spelling :
         {"http://example.org/~a/b%20c", "HTTP://EXAMPLE.ORG/~a/b%20c", "http://example.org:80/~a/b%20c",
          "http://example.org/%7Ea/b%20c", "http://example.org/%7ea/b c", "http://example.org/x/../%7Ea/./b%20c",
          " http://example.org/~a/b%20c#top "}) {
        INFO(spelling);
        CHECK(parse_url(spelling).text == "http://example.org/~a/b%20c");
    }
    CHECK(parse_url("http://example.org").text == "http://example.org/");
    CHECK(parse_url("http://example.org?q").text == "http://example.org/?q");
    CHECK(parse_url("https://example.org:443/").text == "https://example.org/");
    CHECK(parse_url("http://example.org/%c3%a9").text == "http://example.org/%C3%A9");
    CHECK(parse_url("http://example.org/é").text == "http://example.org/%C3%A9");
}

TEST_CASE("an encoded slash is not a slash") {
    CHECK(parse_url("http://example.org/a%2fb").text == "http://example.org/a%2Fb");
}

TEST_CASE("a login is kept for the request, but is not part of the origin") {
    const url u = parse_url("http://ann:secret@example.org/x");
    CHECK(u.text == "http://ann:secret@example.org/x");
    CHECK(u.origin == "http://example.org");
}

TEST_CASE("addresses with IPv6 hosts keep their brackets") {
    CHECK(parse_url("http://[::1]:8080/x").origin == "http://[::1]:8080");
}

TEST_CASE("what is no address is refused with a reason that names it") {
    CHECK(complaint("example.org/x") ==
          "'example.org/x' is not a web address: it has no scheme (write http://… or https://…)");
    CHECK(complaint("ftp://example.org/").find("'ftp://example.org/' is not a web address: only http and https") == 0);
    for (const char* bad :
         {"", "http://", "http://a b/", "http://[::1/", "http://example.org:99999/", "ht!tp://example.org/", "://"}) {
        INFO(bad);
        CHECK(complaint(bad).find("' is not a web address: ") != std::string::npos);
    }
    CHECK(complaint(std::string_view("http://a\0b/", 11)).find("NUL") != std::string::npos);
}

TEST_CASE("links are resolved against the page they are on") {
    const char* page = "http://example.org/a/b/c?q=1";
    CHECK(resolved(page, "d") == "http://example.org/a/b/d");
    CHECK(resolved(page, "./d/../e") == "http://example.org/a/b/e");
    CHECK(resolved(page, "../../../up") == "http://example.org/up");
    CHECK(resolved(page, "/root") == "http://example.org/root");
    CHECK(resolved(page, "//other.org/x") == "http://other.org/x");
    CHECK(resolved(page, "?q=2") == "http://example.org/a/b/c?q=2");
    CHECK(resolved(page, "https://other.org") == "https://other.org/");
    CHECK(resolved(page, " d\n") == "http://example.org/a/b/d");
    CHECK(resolved(page, "with blank") == "http://example.org/a/b/with%20blank");
}

TEST_CASE("a link to a place in the page is a link to the page") {
    CHECK(resolved("http://example.org/a?q=1", "") == "http://example.org/a?q=1");
    CHECK(resolved("http://example.org/a?q=1", "#part") == "http://example.org/a?q=1");
}

TEST_CASE("links that lead out of the web are none") {
    for (const char* reference :
         {"mailto:ann@example.org", "javascript:void(0)", "tel:+4912345", "data:text/html,x", "ftp://example.org/"}) {
        INFO(reference);
        CHECK(resolved("http://example.org/", reference) == "nothing");
    }
}

TEST_CASE("percent-encodings that are none stay as they are") {
    CHECK(normalise_percent_encoding("%zz%4") == "%zz%4");
    CHECK(normalise_percent_encoding("100%") == "100%");
}
