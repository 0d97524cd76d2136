#include "frontier.hpp"

#include "catch.hpp"

using namespace scraper;

namespace {

url page(const std::string& name) {
    return parse_url("http://h/" + name);
}

std::vector<url> pages(const std::string& names) {
    std::vector<url> result;
    for (const char name : names) result.push_back(page(std::string(1, name)));
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
    CHECK(list(f.start(page("a"))) == "a0");
    CHECK(list(f.start(page("a"))) == "");
    CHECK(list(f.links(page("a"), pages("abcb"))) == "b1 c1");
    CHECK(list(f.links(page("b"), pages("acd"))) == "d2");
}

TEST_CASE("what lies deeper than the limit does not come out") {
    frontier f(1);
    CHECK(list(f.start(page("a"))) == "a0");
    CHECK(list(f.links(page("a"), pages("b"))) == "b1");
    CHECK(list(f.links(page("b"), pages("c"))) == "");
}

TEST_CASE("a limit of 0 is the given pages alone") {
    frontier f(0);
    CHECK(list(f.start(page("a"))) == "a0");
    CHECK(list(f.links(page("a"), pages("b"))) == "");
}

TEST_CASE("a redirect is no step") {
    frontier f(1);
    static_cast<void>(f.start(page("a")));
    static_cast<void>(f.links(page("a"), pages("b")));
    CHECK(list(f.links(page("b"), pages("c"), true)) == "c1");
}

TEST_CASE("a shorter way that is found late brings nearer what lies behind") {
    // a links to b and s; b to c, c to x, x to y. s is slow: that it links to x is known last.
    frontier f(3);
    static_cast<void>(f.start(page("a")));
    CHECK(list(f.links(page("a"), pages("bs"))) == "b1 s1");
    CHECK(list(f.links(page("b"), pages("c"))) == "c2");
    CHECK(list(f.links(page("c"), pages("x"))) == "x3");
    CHECK(list(f.links(page("x"), pages("y"))) == "");
    CHECK(list(f.links(page("s"), pages("x"))) == "y3");
    CHECK(f.depth(page("x")) == 2);
}

TEST_CASE("a long chain comes nearer without recursion") {
    frontier f(1'000'000);
    static_cast<void>(f.start(page("start")));
    static_cast<void>(f.links(page("start"), {page("slow"), page("x")}));
    static_cast<void>(f.links(page("x"), {page("0")}));
    for (int i = 0; i < 20'000; ++i) static_cast<void>(f.links(page(std::to_string(i)), {page(std::to_string(i + 1))}));
    CHECK(f.depth(page("20000")) == 20'002);
    static_cast<void>(f.links(page("start"), {page("0")}));
    CHECK(f.depth(page("20000")) == 20'001);
}
