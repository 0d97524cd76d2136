// Values, arguments, scripts and stream entries: what needs no server.
#include "redis/support.hpp"

#include <array>
#include <limits>
#include <list>

using namespace redis_tests;

namespace {

template <class F>
std::string thrown(F f) {
    try {
        f();
    } catch (...) {
        return text_of(std::current_exception());
    }
    return "nothing";
}

[[nodiscard]] redis::value array_of(std::vector<redis::value> items) {
    return redis::value(std::move(items));
}
[[nodiscard]] redis::value text(std::string s) {
    return redis::value(std::move(s));
}

} // namespace

TEST_CASE("redis value: each kind gives what it is, and says what it is when it is asked for something else") {
    redis::value nil;
    CHECK(nil.is_nil());
    CHECK(thrown([&] { static_cast<void>(nil.as_string()); }) == "mismatch: a redis reply is nil, not a string");
    const redis::value five(5LL);
    CHECK(five.as_integer() == 5);
    CHECK(five.as_double() == 5.0);
    CHECK(thrown([&] { static_cast<void>(five.as_string()); }) == "mismatch: a redis reply is an integer (5), not a string");
    CHECK(thrown([&] { static_cast<void>(five.as_array()); }) == "mismatch: a redis reply is an integer (5), not an array");
    redis::value name = text("name");
    CHECK(name.as_string() == "name");
    CHECK(name.size() == 4);
    CHECK(thrown([&] { static_cast<void>(name.as_integer()); }) == "mismatch: a redis reply is a string (\"name\"), not an integer");
    CHECK(name.take_string() == "name");
    CHECK(name.is_nil());
    CHECK(text("-12").as_integer() == -12);
    CHECK(text("2.5").as_double() == 2.5);
    CHECK(text("-inf").as_double() == -std::numeric_limits<double>::infinity());
    CHECK(thrown([] { static_cast<void>(text("12x").as_integer()); }) == "mismatch: a redis reply is a string (\"12x\"), not an integer");
    CHECK(redis::value("OK", redis::kind::status).is_ok());
    CHECK_FALSE(text("OK").is_ok());
    CHECK(thrown([] { static_cast<void>(redis::value("x", redis::kind::array)); }) == "a redis::value of a text is a string, a status or an error");
}

TEST_CASE("redis value: an error inside of a reply is thrown by whoever wants something else of it") {
    const redis::value v("WRONGTYPE it is a list", redis::kind::error);
    CHECK(v.is_error());
    CHECK(v.error_text() == "WRONGTYPE it is a list");
    CHECK(thrown([&] { static_cast<void>(v.as_string()); }) == "error: redis: WRONGTYPE it is a list");
    CHECK(thrown([&] { v.check(); }) == "error: redis: WRONGTYPE it is a list");
    try {
        v.check();
    } catch (const redis::error& e) {
        CHECK(e.code() == "WRONGTYPE");
        CHECK(e.reply() == "WRONGTYPE it is a list");
        CHECK(e.command().empty());
    }
    const redis::error plain("GET", "ERR");
    CHECK(plain.code() == "ERR");
    CHECK(std::string_view(plain.what()) == "redis GET: ERR");
    CHECK(std::string_view(redis::error("GET", "ERR a\nforged line").what()) == "redis GET: ERR a?forged line");
}

TEST_CASE("redis value: arrays, and how they are described") {
    redis::value v = array_of({text("a"), redis::value(1LL), redis::value(), array_of({redis::value("OK", redis::kind::status)})});
    CHECK(v.describe() == "[\"a\", 1, nil, [OK]]");
    CHECK(v.size() == 4);
    CHECK(v[1].as_integer() == 1);
    CHECK(thrown([&] { static_cast<void>(v[4]); }) == "a redis reply has 4 items, there is none at 4");
    CHECK(text("a\"\x01").describe() == "\"a\\\"\\x01\"");
    CHECK(text(std::string(1000, 'x')).describe(10) == "\"xxxxxxxxx…");
    redis::value strings = array_of({text("a"), redis::value(), text("b")});
    CHECK(strings.take_strings() == std::vector<std::string>{"a", "", "b"});
    CHECK(array_of({text("a")}) == array_of({text("a")}));
    CHECK_FALSE(text("OK") == redis::value("OK", redis::kind::status));
}

TEST_CASE("redis arguments: texts, numbers, and ranges of them") {
    redis::pipeline p;
    const std::list<std::string> keys{"k1", "k2"};
    const std::array<int, 2> numbers{-1, 20};
    p.add("X", "a", std::string("b"), "c"sv, 5, -6L, std::size_t{7}, 2.5, keys, numbers, std::vector<std::string>());
    CHECK(p.size() == 1);
    CHECK(p.wire() == "*12\r\n" + bulk("X") + bulk("a") + bulk("b") + bulk("c") + bulk("5") + bulk("-6") + bulk("7") + bulk("2.5") + bulk("k1") + bulk("k2") +
                          bulk("-1") + bulk("20"));
    p.clear();
    CHECK(p.empty());
    p.add("X", std::numeric_limits<double>::infinity(), 0.1, std::string("\0\r\n", 3), "");
    CHECK(p.wire() == "*5\r\n" + bulk("X") + bulk("+inf") + bulk("0.1") + bulk(std::string_view("\0\r\n", 3)) + bulk(""));
    CHECK(thrown([&] { p.add("X", std::numeric_limits<double>::quiet_NaN()); }) == "redis: an argument is not a number (NaN)");
}

TEST_CASE("redis script: its digest is the one by which the server knows it") {
    const redis::script s("return 1");
    CHECK(s.sha1() == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    const redis::script copy = s;
    CHECK(copy.source() == "return 1");
}

TEST_CASE("redis stream entries: out of the replies of XRANGE and XREAD") {
    const auto entry = [](std::string id) { return array_of({text(std::move(id)), array_of({text("f"), text("v"), text("g"), text("w")})}); };
    const std::vector<redis::stream_entry> entries = redis::to_entries(array_of({entry("1-0"), redis::value(), array_of({text("2-0"), redis::value()})}));
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].id == "1-0");
    CHECK(entries[0].field("g") == "w");
    CHECK_FALSE(entries[0].field("h"));
    CHECK(entries[1].fields.empty());
    const std::vector<redis::stream_entries> streams = redis::to_streams(array_of({array_of({text("log"), array_of({entry("3-0")})})}));
    REQUIRE(streams.size() == 1);
    CHECK(streams[0].stream == "log");
    CHECK(streams[0].entries.at(0).id == "3-0");
    CHECK(redis::to_streams(redis::value()).empty());
    CHECK(thrown([&] { static_cast<void>(redis::to_entries(array_of({array_of({text("1-0")})}))); }) == "mismatch: a redis reply is an array of 1 items, not of 2");
}

EDDY_TEST("redis connect: an URL that is none is refused by the call, and no password is quoted") {
    const auto refusal = [](std::string url, redis::options o = {}) { return thrown([&] { static_cast<void>(redis::connect(std::move(url), o)); }); };
    CHECK(has(refusal("localhost"), "redis URL 'localhost': it has no scheme; it is redis://"));
    CHECK(has(refusal("http://localhost"), "its scheme is not known"));
    CHECK(has(refusal("redis://"), "it has no host"));
    CHECK(has(refusal("redis://h:0"), "the port is not a number from 1 to 65535"));
    CHECK(has(refusal("redis://h:70000/0"), "the port is not a number"));
    CHECK(has(refusal("redis://h/x"), "the database is not a number"));
    CHECK(has(refusal("redis://[::1"), "a '[' without ']'"));
    CHECK(has(refusal("redis://h/0?color=red"), "its parameter 'color' is not known"));
    CHECK(has(refusal("unix://relative"), "it has no path"));
    CHECK(has(refusal("redis://:%4@h/0"), "a '%' without two hexadecimal digits"));
    for (const char* url : {"redis://:secret@h/x", "redis://user:secret@h:0/0", "redis://h/x?password=secret", "redis://:se?secret@h/x", "redis://h/x?password=a@secret",
                            "http://u:secret@h", "unix://:secret@?db=0"}) {
        INFO(url);
        CHECK(refusal(url) != "nothing");
        CHECK_FALSE(has(refusal(url), "secret"));
    }
    CHECK(has(refusal("redis://h", {.user = "u"}), "a user needs a password"));
    CHECK(has(refusal("redis://h", {.database = -2}), "database is negative"));
    CHECK(has(refusal("redis://h", {.client_name = "a b"}), "client_name has a space"));
    CHECK(has(refusal("redis://h", {.timeout = -1s}), "a time limit is negative"));
    CHECK(has(refusal("redis://h", {.max_pending = 0}), "max_pending is 0"));
    CHECK(has(refusal("redis://h", {.reconnect = {.attempts = 0}}), "attempts has to be at least 1"));
    co_return;
}
