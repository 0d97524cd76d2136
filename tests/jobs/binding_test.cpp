// JSON arguments as parameters: what is held for a function, and what fits into what.
#include "jobs/support.hpp"

#include <array>
#include <cstring>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <eddy/remote_exception.hpp>

using namespace jobs_tests;

EDDY_TEST("JOB-153 a parameter that is a view shows a text that is there until the function has returned") {
    const std::string long_text(1000, 'x'); // not within the string itself
    jobs::worker w{"memory:"};
    w.add("view", [](std::string_view text) { return std::string(text); });
    w.add("words", [](const char* text) { return std::strlen(text); });
    w.add("later", [](jobs::context&, std::string_view text) -> task<std::string> {
        co_await sleep_for(1s);
        co_return std::string(text);
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto view = co_await c.call<std::string>("view", long_text);
        CHECK(view == long_text);
        const auto words = co_await c.call<std::size_t>("words", long_text);
        CHECK(words == 1000);
        const auto later = co_await c.call<std::string>("later", long_text);
        CHECK(later == long_text);
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-154 nothing is converted that would lose something, within containers neither") {
    jobs::worker w{"memory:"};
    w.add("map", [](std::map<std::string, int> m) { return m; });
    w.add("pairs", [](std::map<int, int> m) { return m; });
    w.add("set", [](std::set<std::uint8_t> s) { return s; });
    w.add("array", [](std::array<int, 2> a) { return a; });
    w.add("pair", [](std::pair<std::string, int> p) { return p; });
    w.add("tuple", [](std::tuple<bool, std::vector<int>> t) { return t; });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto ending = [&](std::string name, const char* argument) -> task<std::string> {
            json args = json::array();
            args.push_back(json::parse(argument));
            co_return co_await ending_of(c, co_await c.send_json(std::move(name), std::move(args), {}));
        };
        for (const auto& [name, argument] : {std::pair{"map", R"({"a":1,"b":2})"}, {"pairs", "[[1,2],[3,4]]"}, {"set", "[1,2]"}, {"array", "[1,2]"}, {"pair", R"(["a",1])"}, {"tuple", "[true,[1,2]]"}}) {
            const std::string same = co_await ending(name, argument);
            CHECK(same == argument);
        }
        const std::string fraction = co_await ending("map", R"({"a": 2.5})"), truth = co_await ending("map", R"({"a": true})");
        const std::string large = co_await ending("set", "[1, 300]"), key = co_await ending("pairs", R"([["1", 2]])");
        const std::string few = co_await ending("array", "[1]"), text = co_await ending("pair", R"([1, 1])"), deep = co_await ending("tuple", "[true, [1, 2.5]]");
        CHECK(fraction == "TypeError: map() argument 1, element 'a': expected an integer, got 2.5");
        CHECK(truth == "TypeError: map() argument 1, element 'a': expected an integer, got true");
        CHECK(large == "TypeError: set() argument 1, element 1: expected an integer from 0 to 255, got 300");
        CHECK(key == "TypeError: pairs() argument 1, element 0, element 0: expected an integer, got the string \"1\"");
        CHECK(few == "TypeError: array() argument 1: expected a list of 2, got the list [1]");
        CHECK(text == "TypeError: pair() argument 1, element 0: expected a string, got 1");
        CHECK(deep == "TypeError: tuple() argument 1, element 1, element 1: expected an integer, got 2.5");
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-155 a text that is no UTF-8 is refused: an argument at once, a result as a failure") {
    jobs::worker w{"memory:"};
    w.add("bytes", [] { return std::string("\xff\xfe"); });
    w.add("fails", []() -> int { throw std::runtime_error("\xff"); });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto result = co_await ending_of(c, co_await c.send("bytes"));
        CHECK(result == "ValueError: the result of bytes has bytes that are no UTF-8, which JSON cannot hold: send them as base64, or as a list of numbers");
        const auto failure = co_await ending_of(c, co_await c.send("fails"));
        CHECK(failure == "runtime_error: \xef\xbf\xbd"); // words may be replaced
        std::string refused;
        try {
            co_await c.send("bytes", "\xff");
        } catch (const std::invalid_argument& e) {
            refused = e.what();
        }
        CHECK(refused == "jobs: the call of bytes has bytes that are no UTF-8, which JSON cannot hold: send them as base64, or as a list of numbers");
        const std::size_t left = co_await c.queued();
        CHECK(left == 0);
    };
    co_await while_serving(w, body);
}

EDDY_TEST("JOB-156 an exception of another process fails the job under its own name") {
    jobs::worker w{"memory:"};
    w.add("order", []() -> task<> {
        throw remote_error("shop::bad_order", "no such article");
        co_return;
    });
    const auto body = [&]() -> task<> {
        jobs::client c = co_await jobs::connect("memory:");
        const auto ending = co_await ending_of(c, co_await c.send("order"));
        CHECK(ending == "bad_order: no such article");
    };
    co_await while_serving(w, body);
}
