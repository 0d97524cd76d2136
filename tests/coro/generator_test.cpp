#include <eddy/generator.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <ranges>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;

namespace {

struct noted {
    explicit noted(std::string& l) : log(l) {}
    noted(const noted&) = delete;
    noted& operator=(const noted&) = delete;
    ~noted() { log += "gone "; }
    std::string& log;
};

generator<int> count(int n, std::string* log = nullptr) {
    std::string none;
    const noted local(log ? *log : none);
    for (int i = 0; i < n; ++i) co_yield i;
}

generator<int> fails_after(int n) {
    for (int i = 0; i < n; ++i) co_yield i;
    throw std::runtime_error("broke");
}

generator<int&> each(std::vector<int>& v) {
    for (int& i : v) co_yield i;
}

generator<std::unique_ptr<int>> boxes() {
    co_yield std::make_unique<int>(1);
    auto two = std::make_unique<int>(2);
    co_yield std::move(two);
}

} // namespace

static_assert(std::ranges::input_range<generator<int>>);

TEST_CASE("a generator is a range") {
    int sum = 0;
    for (const int i : count(5)) sum += i;
    CHECK(sum == 10);
    for (const int i : count(0)) sum += 100 + i;
    CHECK(sum == 10);
    for (const int i : count(1'000'000) | std::views::take(3)) sum += i;
    CHECK(sum == 13);
}

TEST_CASE("a generator runs only while it is iterated over, and its locals go with it") {
    std::string log;
    {
        auto g = count(5, &log);
        auto i = g.begin();
        ++i;
        CHECK(*i == 1);
        CHECK(log == "");
        auto unused = count(5, &log);
    }
    CHECK(log == "gone ");
}

TEST_CASE("an exception of the body comes out of begin or ++, and ends it") {
    auto g = fails_after(1);
    auto i = g.begin();
    CHECK(*i == 0);
    CHECK(words::of_call([&] { ++i; return 0; }) == "broke");
    CHECK(i == g.end());
    auto h = fails_after(0);
    CHECK(words::of_call([&] { return h.begin(); }) == "broke");
}

TEST_CASE("a generator is for one pass") {
    auto g = count(2);
    static_cast<void>(g.begin());
    CHECK(words::throws<std::logic_error>([&] { return g.begin(); }));
    auto moved = std::move(g);
    CHECK(words::throws<std::logic_error>([&] { return g.begin(); }));
}

TEST_CASE("references and move-only values pass through a generator") {
    std::vector<int> v{1, 2, 3};
    for (int& i : each(v)) i *= 2;
    CHECK(v == std::vector<int>{2, 4, 6});
    int sum = 0;
    for (auto& b : boxes()) {
        const auto own = std::move(b);
        sum += *own;
    }
    CHECK(sum == 3);
}
