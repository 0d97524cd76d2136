#include "python_literal.hpp"

#include <string>

#include "catch.hpp"

using jobs_dashboard::read_python_literal;

namespace {

std::string as_json(std::string_view text) {
    const auto v = read_python_literal(text);
    return v ? v->dump() : "none";
}

} // namespace

TEST_CASE("Python's literals become JSON") {
    CHECK(as_json("()") == "[]");
    CHECK(as_json("(2,)") == "[2]");
    CHECK(as_json("(2, 3)") == "[2,3]");
    CHECK(as_json("[1, [2.5, -3e2], None, True, False]") == "[1,[2.5,-300.0],null,true,false]");
    CHECK(as_json("{'a': 1, \"b's\": ('x', {})}") == R"({"a":1,"b's":["x",{}]})");
    CHECK(as_json(R"(['it\'s', "a \"b\"", 'line\n\ttab \\ \x41\xe9\u20ac\U0001f600'])") == R"(["it's","a \"b\"","line\n\ttab \\ Aé€😀"])");
    CHECK(as_json("(9007199254740993, 18446744073709551615)") == "[9007199254740993,18446744073709551615]");
    CHECK(as_json("('é漢',)") == R"(["é漢"])");
}

TEST_CASE("what is no literal, or has no JSON, is refused") {
    for (const char* text : {"", "(2)", "(", "(1", "(1,, 2)", "(1 2)", "['a]", "{1: 2}", "{'a' 1}", "(nan,)", "(1e999,)", "(99999999999999999999,)", "(b'x',)",
                             "(<object at 0x7f>,)", "(1,) x", "('\\ud800',)", "('\\q',)", "('\\x4', )", "***", "(1-2,)", "(datetime.date(2026, 1, 1),)"})
        CHECK(as_json(text) == "none");
}

TEST_CASE("what may have been cut is refused") {
    CHECK(as_json("('aaa...',)") == "none");
    CHECK(as_json("(1, 2, ...)") == "none");
    CHECK(as_json("('" + std::string(990, 'x') + "',)") != "none");
    CHECK(as_json("('" + std::string(1000, 'x') + "',)") == "none");
    CHECK(as_json(std::string(400, '[') + std::string(400, ']')) == "none");
}
