#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <any>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

async_generator<int> count(std::string& log, int n = 1000) {
    std::exception_ptr why;
    try {
        for (int i = 0; i < n; ++i) {
            co_await sleep_for(1ms);
            log += std::to_string(i) + " ";
            co_yield i;
        }
    } catch (...) {
        why = std::current_exception();
    }
    co_await sleep_for(1ms); // cleanup that awaits
    log += why ? "closed " : "end ";
    if (why) std::rethrow_exception(why);
}
async_generator<int&> cells(std::vector<int>& v) {
    for (int& i : v) co_yield i;
}
async_generator<std::unique_ptr<int>> owners(int n) {
    for (int i = 0; i < n; ++i) co_yield std::make_unique<int>(i);
}
bool odd(const int& i) {
    return i % 2 != 0;
}

} // namespace

EDDY_TEST("transform calls the function for each value, and awaits what it returns") {
    std::string log;
    auto squares = transform(count(log, 4), [](int i) { return i * i; });
    const std::vector<int> all = co_await collect(std::move(squares));
    CHECK(all == std::vector<int>{0, 1, 4, 9});
    CHECK(log == "0 1 2 3 end ");
    auto slow = transform(count(log, 3), [](int i) -> task<std::string> {
        co_await sleep_for(1ms);
        co_return std::to_string(i) + "!";
    });
    const auto texts = co_await collect(std::move(slow));
    CHECK(texts == std::vector<std::string>{"0!", "1!", "2!"});
}

EDDY_TEST("adaptors are lazy: nothing runs before the first next") {
    std::string log;
    auto g = take(transform(filter(count(log), odd), [](int i) { return i + 1; }), 2);
    co_await sleep_for(10ms);
    CHECK(log.empty());
    const auto first = co_await g.next();
    CHECK(first == 2);
    co_await sleep_for(10ms);
    CHECK(log == "0 1 ");
    co_await g.close();
    CHECK(log == "0 1 closed ");
}

EDDY_TEST("take closes its source before it gives the last value") {
    std::string log;
    auto g = take(count(log), 2);
    static_cast<void>(co_await g.next());
    CHECK(log == "0 ");
    const auto second = co_await g.next();
    CHECK(second == 1);
    CHECK(log == "0 1 closed ");
    const auto third = co_await g.next();
    CHECK_FALSE(third.has_value());
    auto none = take(count(log), 0);
    const auto nothing = co_await none.next();
    CHECK_FALSE(nothing.has_value());
    CHECK(log == "0 1 closed "); // a body that never ran is only destroyed
}

EDDY_TEST("take_while drops the value that ends it, and closes its source") {
    std::string log;
    const auto all = co_await collect(take_while(count(log), [](const int& i) { return i < 2; }));
    CHECK(all == std::vector<int>{0, 1});
    CHECK(log == "0 1 2 closed ");
}

EDDY_TEST("filter may ask with a task") {
    std::string log;
    auto g = filter(count(log, 5), [](const int& i) -> task<bool> {
        co_await sleep_for(1ms);
        co_return i % 2 == 0;
    });
    const auto all = co_await collect(std::move(g));
    CHECK(all == std::vector<int>{0, 2, 4});
}

EDDY_TEST("adaptors hand move-only values and references through") {
    auto even = filter(owners(4), [](const std::unique_ptr<int>& p) { return *p % 2 == 0; });
    const auto pointers = co_await collect(std::move(even));
    REQUIRE(pointers.size() == 2);
    CHECK(*pointers[1] == 2);
    std::vector<int> v{1, 2, 3};
    auto big = take(filter(cells(v), [](const int& i) { return i > 1; }), 1);
    int* const cell = co_await big.next();
    REQUIRE(cell);
    *cell = 20;
    CHECK(v[1] == 20);
    int* const after = co_await big.next();
    CHECK(after == nullptr);
    const auto copied = co_await collect(cells(v));
    CHECK(copied == std::vector<int>{1, 20, 3});
}

EDDY_TEST("an error of the function closes the source and comes out of next; an error of the source passes") {
    std::string log;
    auto g = transform(count(log), [](int i) {
        if (i == 1) throw std::runtime_error("function");
        return i;
    });
    static_cast<void>(co_await g.next());
    std::string error;
    try {
        static_cast<void>(co_await g.next());
    } catch (const std::runtime_error& e) {
        error = e.what();
    }
    CHECK(error == "function");
    CHECK(log == "0 1 closed ");
    const auto after = co_await g.next();
    CHECK_FALSE(after.has_value());

    auto broken = filter([]() -> async_generator<int> {
        co_yield 1;
        throw std::runtime_error("source");
    }(), odd);
    static_cast<void>(co_await broken.next());
    try {
        static_cast<void>(co_await broken.next());
    } catch (const std::runtime_error& e) {
        error = e.what();
    }
    CHECK(error == "source");
}

namespace {
async_generator<int> with_bad_cleanup() {
    std::exception_ptr why;
    try {
        for (int i = 0;; ++i) co_yield i;
    } catch (...) {
        why = std::current_exception();
    }
    co_await sleep_for(1ms);
    throw std::runtime_error("cleanup");
}
} // namespace

EDDY_TEST("of two failures the first is thrown, and the one of the source's cleanup is reported") {
    words::reports reports;
    auto g = transform(with_bad_cleanup(), [](int) -> int { throw std::runtime_error("function"); });
    auto next = g.next();
    std::string end = co_await words::ending(std::move(next));
    CHECK(end == "function");
    CHECK(reports.text().find("cleanup") != std::string::npos);
    CHECK(reports.count() == 1);
}

EDDY_TEST("take gives its last value even if closing the source fails; that comes after it") {
    auto g = take(with_bad_cleanup(), 1);
    const auto v = co_await g.next();
    CHECK(v == 0);
    auto next = g.next();
    std::string end = co_await words::ending(std::move(next));
    CHECK(end == "cleanup");
}

EDDY_TEST("collect closes its source when a copy throws") {
    struct refuses_copies {
        refuses_copies() = default;
        refuses_copies(const refuses_copies&) { throw std::runtime_error("copy"); }
    };
    std::string log;
    auto cells_of = [](refuses_copies& r, std::string& out) -> async_generator<refuses_copies&> {
        std::exception_ptr why;
        try {
            co_yield r;
        } catch (...) {
            why = std::current_exception();
        }
        co_await sleep_for(1ms);
        out = "closed";
        if (why) std::rethrow_exception(why);
    };
    refuses_copies one;
    auto collecting = collect(cells_of(one, log));
    std::string end = co_await words::ending(std::move(collecting));
    CHECK(end == "copy");
    CHECK(log == "closed");
}

EDDY_TEST("transform takes pointers to members, and hands over what could be made from anything") {
    std::string log;
    auto pairs = transform(count(log, 2), [](int i) { return std::pair(i, std::to_string(i)); });
    auto texts = transform(std::move(pairs), &std::pair<int, std::string>::second);
    const auto all = co_await collect(std::move(texts));
    CHECK(all == std::vector<std::string>{"0", "1"});
    auto anything = transform(count(log, 1), [](int i) { return std::any(std::to_string(i)); });
    auto some = co_await anything.next();
    REQUIRE(some.has_value());
    CHECK(std::any_cast<std::string>(*some) == "0");
    co_await anything.close();
}

EDDY_TEST("a cancellation reaches what the source waits for") {
    std::string log;
    auto g = transform(count(log), [](int i) { return i; });
    auto h = spawn([&]() -> task<> { static_cast<void>(co_await g.next()); });
    co_await this_task::yield();
    h.cancel();
    co_await h.join();
    CHECK(h.cancelled());
    const auto after = co_await g.next();
    CHECK_FALSE(after.has_value());
}
