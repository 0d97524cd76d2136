#include "json.hpp"

#include "catch.hpp"

using namespace scraper;
using namespace std::string_literals;

TEST_CASE("strings are escaped") {
    CHECK(json_string("") == R"("")");
    CHECK(json_string("plain é漢😀/") == R"("plain é漢😀/")");
    CHECK(json_string("a\"b\\c") == R"("a\"b\\c")");
    CHECK(json_string("\n\r\t\b\x1B\x7F") == R"("\n\r\t\u0008\u001b\u007f")");
    CHECK(json_string("\0"s) == R"("\u0000")");
}

TEST_CASE("any bytes give a valid string") {
    CHECK(json_string("a\xFF\xC3") == "\"a\uFFFD\uFFFD\"");
    CHECK(json_string("\xED\xA0\x80") == "\"\uFFFD\"");
}

TEST_CASE("objects") {
    CHECK(json_object().str() == "{}");
    CHECK(json_object().add("n", 1).add("s", "x\"").add("b", true).add_fixed("d", 1.25, 1).str() ==
          R"({"n":1,"s":"x\"","b":true,"d":1.2})");
    const std::vector<std::string> list{"a", "b\n"};
    CHECK(json_object().add("l", list).add("e", std::vector<std::string>()).str() == R"({"l":["a","b\n"],"e":[]})");
}
