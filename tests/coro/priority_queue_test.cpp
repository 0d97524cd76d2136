#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

struct job {
    job(int k, std::string n) : key(k), name(std::move(n)) {}
    int key;
    std::string name;
    friend bool operator<(const job& a, const job& b) { return a.key < b.key; }
};

struct longest_first {
    bool operator()(const std::unique_ptr<std::string>& a, const std::unique_ptr<std::string>& b) const {
        return a->size() > b->size();
    }
};

} // namespace

EDDY_TEST("Q-15 items with equal keys come out in the order they went in") {
    priority_queue<job> q{10};
    for (const char* name : {"a", "b", "c", "d"}) co_await q.push(job(1, name));
    co_await q.push(job(0, "first"));
    std::string log;
    while (const auto item = q.try_pop()) log += item->name + " ";
    CHECK(log == "first a b c d ");
}

EDDY_TEST("Q-15 any order of pushes and pops gives what a stable sort gives") {
    std::mt19937 generator(1);
    priority_queue<std::pair<int, int>, bool (*)(const std::pair<int, int>&, const std::pair<int, int>&)> q(
        1000, [](const std::pair<int, int>& a, const std::pair<int, int>& b) { return a.first < b.first; });
    std::vector<std::pair<int, int>> model;
    for (int i = 0; i < 3000; ++i) {
        if (generator() % 3 != 0) {
            const std::pair<int, int> item(static_cast<int>(generator() % 10), i);
            const bool pushed = q.try_push(item);
            REQUIRE(pushed == (model.size() < 1000));
            if (pushed) model.push_back(item);
        } else if (const auto got = q.try_pop()) {
            REQUIRE(*got == *std::min_element(model.begin(), model.end()));
            model.erase(std::find(model.begin(), model.end(), *got));
        }
        REQUIRE(q.size() == model.size());
    }
    co_return;
}

EDDY_TEST("a comparison of one's own and items that only move") {
    priority_queue<std::unique_ptr<std::string>, longest_first> q{3};
    co_await q.push(std::make_unique<std::string>("aa"));
    co_await q.push(std::make_unique<std::string>("a"));
    CHECK(q.try_push(std::make_unique<std::string>("aaa")));
    CHECK(q.full());
    std::string log;
    for (int i = 0; i < 3; ++i) {
        const auto item = co_await q.pop();
        log += *item + " ";
    }
    CHECK(log == "aaa aa a ");
}

EDDY_TEST("pushers that wait for room are served in order, whatever their items", "[fifo]") {
    priority_queue<int> q{1};
    std::string log;
    co_await q.push(5);
    auto pusher = [&](int v) -> task<> {
        co_await q.push(v);
        log += "pushed" + std::to_string(v) + " ";
    };
    for (int v : {9, 1, 7}) spawn(pusher, v);
    co_await testing::settle();
    for (int i = 0; i < 4; ++i) {
        const int v = co_await q.pop();
        log += std::to_string(v) + " ";
        co_await testing::settle();
    }
    CHECK(log == "5 pushed9 9 pushed1 1 pushed7 7 ");
}

EDDY_TEST("an item that meets a waiting pop belongs to it, even if a smaller one follows") {
    priority_queue<int> q{2};
    auto h = spawn(q.pop());
    co_await testing::settle();
    CHECK(q.try_push(9));
    CHECK(q.try_push(1));
    CHECK(q.size() == 1);
    const int v = co_await h;
    CHECK(v == 9);
    CHECK(q.try_pop() == 1);
}

EDDY_TEST("the other verbs are those of queue: closing, joining, cancelling, timing out") {
    priority_queue<int> q{2};
    const auto late = co_await as_result(wait_for(q.pop(), 1s));
    CHECK(words::holds<timeout_error>(late.exception()));
    auto popper = spawn(q.pop());
    co_await testing::settle();
    co_await popper.cancel_and_join();
    CHECK(q.try_push(2));
    CHECK(q.try_push(1));
    auto pusher = spawn(q.push(3));
    auto joiner = spawn(q.join());
    co_await testing::settle();
    q.close();
    const auto refused = co_await as_result(pusher);
    CHECK(words::of(refused) == "the queue is closed");
    const int v = co_await q.pop();
    CHECK(v == 1);
    q.task_done();
    CHECK_FALSE(joiner.done());
    q.close_now();
    co_await joiner;
    CHECK(q.empty());
    CHECK(words::throws<queue_closed>([&] { return q.try_pop(); }));
    CHECK(words::throws<std::invalid_argument>([] { priority_queue<int> none(0); return 0; }));
}
