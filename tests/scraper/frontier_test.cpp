#include "frontier.hpp"

#include "catch.hpp"

using namespace scraper;

namespace {

url page_at(const std::string& name) {
    return parse_url("http://h/" + name);
}

std::vector<url> pages_at(const std::string& names) {
    std::vector<url> result;
    for (const char name : names) result.push_back(page_at(std::string(1, name)));
    return result;
}

// "a0 b1": what came out, with depths.
std::string list(const std::vector<frontier::found>& found) {
    std::string out;
    for (const frontier::found& f : found)
        out += (out.empty() ? "" : " ") + f.address.target.substr(1) + std::to_string(f.depth);
    return out;
}

constexpr int unlimited = std::numeric_limits<int>::max();

} // namespace

TEST_CASE("every address comes out once") {
    frontier f(unlimited);
    CHECK(list(f.start(page_at("a"))) == "a0");
    CHECK(list(f.start(page_at("a"))) == "");
    CHECK(list(f.links(page_at("a"), pages_at("abcb"))) == "b1 c1");
    CHECK(list(f.links(page_at("b"), pages_at("acd"))) == "d2");
}

TEST_CASE("what lies deeper than the limit does not come out") {
    frontier f(1);
    CHECK(list(f.start(page_at("a"))) == "a0");
    CHECK(list(f.links(page_at("a"), pages_at("b"))) == "b1");
    CHECK(list(f.links(page_at("b"), pages_at("c"))) == "");
}

TEST_CASE("a limit of 0 is the given pages alone") {
    frontier f(0);
    CHECK(list(f.start(page_at("a"))) == "a0");
    CHECK(list(f.links(page_at("a"), pages_at("b"))) == "");
}

TEST_CASE("a redirect is no step") {
    frontier f(1);
    static_cast<void>(f.start(page_at("a")));
    static_cast<void>(f.links(page_at("a"), pages_at("b")));
    CHECK(list(f.links(page_at("b"), pages_at("c"), true)) == "c1");
}

TEST_CASE("a shorter way that is found late brings nearer what lies behind") {
    // a links to b and s; b to c, c to x, x to y. s is slow: that it links to x is known last.
    frontier f(3);
    static_cast<void>(f.start(page_at("a")));
    CHECK(list(f.links(page_at("a"), pages_at("bs"))) == "b1 s1");
    CHECK(list(f.links(page_at("b"), pages_at("c"))) == "c2");
    CHECK(list(f.links(page_at("c"), pages_at("x"))) == "x3");
    CHECK(list(f.links(page_at("x"), pages_at("y"))) == "");
    CHECK(list(f.links(page_at("s"), pages_at("x"))) == "y3");
    CHECK(f.depth(page_at("x")) == 2);
}

TEST_CASE("a long chain comes nearer without recursion") {
    frontier f(1'000'000);
    static_cast<void>(f.start(page_at("start")));
    static_cast<void>(f.links(page_at("start"), {page_at("slow"), page_at("x")}));
    static_cast<void>(f.links(page_at("x"), {page_at("0")}));
    for (int i = 0; i < 20'000; ++i) static_cast<void>(f.links(page_at(std::to_string(i)), {page_at(std::to_string(i + 1))}));
    CHECK(f.depth(page_at("20000")) == 20'002);
    static_cast<void>(f.links(page_at("start"), {page_at("0")}));
    CHECK(f.depth(page_at("20000")) == 20'001);
}
