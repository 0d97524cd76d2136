#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("the newest item comes out first") {
    stack_queue<std::unique_ptr<int>> q{10};
    for (int v : {1, 2, 3}) co_await q.push(std::make_unique<int>(v));
    std::string log;
    while (const auto item = q.try_pop()) log += std::to_string(**item) + " ";
    CHECK(log == "3 2 1 ");
    CHECK(q.capacity() == 10);
}

EDDY_TEST("a pop from a full stack gives its top, then lets the first waiting pusher in", "[fifo]") {
    stack_queue<int> q{2};
    std::string log;
    for (int v : {1, 2, 3, 4}) spawn(q.push(v));
    co_await testing::settle();
    CHECK(q.full());
    for (int i = 0; i < 4; ++i) {
        const int v = co_await q.pop();
        log += std::to_string(v) + " ";
    }
    CHECK(log == "2 3 4 1 ");
}

EDDY_TEST("an item that meets a waiting pop belongs to it; a cancelled pop has taken nothing") {
    stack_queue<int> q{2};
    auto cancelled = spawn(q.pop());
    co_await testing::settle();
    auto h = spawn(q.pop());
    co_await testing::settle();
    co_await cancelled.cancel_and_join();
    CHECK(q.try_push(1));
    CHECK(q.try_push(2));
    const int v = co_await h;
    CHECK(v == 1);
    CHECK(q.size() == 1);
}

EDDY_TEST("the other verbs are those of queue: closing, joining, timing out") {
    stack_queue<std::string> q{1};
    const auto late = co_await as_result(wait_for(q.pop(), 1s));
    CHECK(words::holds<timeout_error>(late.exception()));
    CHECK(q.try_push("a"));
    CHECK_FALSE(q.try_push("b"));
    auto joiner = spawn(q.join());
    co_await testing::settle();
    q.close_now();
    co_await joiner;
    const auto closed = co_await as_result(q.pop());
    CHECK(words::of(closed) == "the queue is closed");
    CHECK(words::throws<std::logic_error>([&] { q.task_done(); return 0; }));
    CHECK(words::throws<std::invalid_argument>([] { stack_queue<int> none(0); return 0; }));
}

EDDY_TEST("T-34 an item whose move out of the stack throws is still in it") {
    struct fragile {
        fragile(int v, int b) : value(v), moves_left(b) {}
        fragile(fragile&& o) : value(o.value), moves_left(o.moves_left) {
            if (moves_left-- == 0) throw std::runtime_error("broke");
        }
        fragile& operator=(fragile&&) = delete;
        int value;
        int moves_left;
    };
    stack_queue<fragile> q{1};
    q.try_push(fragile(1, 2));
    CHECK(words::of_call([&] { return q.try_pop(); }) == "broke");
    CHECK(q.size() == 1);
    co_return;
}
