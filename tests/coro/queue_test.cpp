#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <stdexcept>
#include <string>

#include "lib/fragile.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> pop_and_note(queue<std::string>& q, std::string& log, const char* name) {
    log += name + co_await q.pop() + " ";
}

} // namespace

EDDY_TEST("Q-01 three poppers, then three pushes, are paired in order", "[fifo]") {
    queue<std::string> q(10);
    std::string log;
    for (const char* name : {"a", "b", "c"}) spawn(pop_and_note(q, log, name));
    co_await testing::settle();
    for (const char* item : {"1", "2", "3"}) co_await q.push(item);
    co_await testing::settle();
    CHECK(log == "a1 b2 c3 ");
}

EDDY_TEST("Q-02 an item pushed in the tick of the popper's cancellation is not lost") {
    queue<int> q(1);
    int got = 0;
    auto h = spawn([&]() -> task<> {
        got = co_await q.pop();
        co_await this_task::checkpoint();
        got = -1;
    });
    co_await testing::settle();
    CHECK(q.try_push(5));
    h.cancel();
    co_await h.join();
    CHECK(got == 5);
    CHECK(q.size() == 0);
    CHECK(h.cancelled());
}

EDDY_TEST("Q-02 an item pushed after the popper's cancellation stays in the queue") {
    queue<int> q(1);
    auto h = spawn(q.pop());
    co_await testing::settle();
    h.cancel();
    CHECK(q.try_push(5));
    co_await h.join();
    CHECK(h.cancelled());
    CHECK(q.size() == 1);
}

EDDY_TEST("Q-04 an item pushed in the tick of the popper's timeout is returned", "[fifo]") {
    queue<int> q(1);
    this_loop().call_later(20ms, [&] { q.try_push(5); });
    const int v = co_await wait_for(q.pop(), 20ms);
    CHECK(v == 5);
}

EDDY_TEST("Q-05 an item that met a waiting popper belongs to it: try_pop finds nothing") {
    queue<std::string> q(1);
    std::string log;
    auto h = spawn(pop_and_note(q, log, "popper "));
    co_await testing::settle();
    CHECK(q.try_push("item"));
    CHECK_FALSE(q.try_pop().has_value());
    CHECK(q.empty());
    co_await h;
    CHECK(log == "popper item ");
}

EDDY_TEST("Q-06 pushers on a full queue resume in order, and their items come out in order", "[fifo]") {
    queue<int> q(1);
    std::string log;
    co_await q.push(0);
    auto pusher = [&](int v) -> task<> {
        co_await q.push(v);
        log += "pushed" + std::to_string(v) + " ";
    };
    for (int v : {1, 2, 3}) spawn(pusher, v);
    co_await testing::settle();
    CHECK(log == "");
    for (int expected : {0, 1, 2, 3}) {
        const int v = co_await q.pop();
        CHECK(v == expected);
    }
    co_await testing::settle();
    CHECK(log == "pushed1 pushed2 pushed3 ");
}

EDDY_TEST("Q-08 a cancelled pusher or popper leaves no entry behind") {
    queue<std::unique_ptr<int>> q(1);
    auto popper = spawn(q.pop());
    co_await testing::settle();
    co_await popper.cancel_and_join();
    CHECK(q.try_push(std::make_unique<int>(1)));
    CHECK(q.size() == 1);
    auto pusher = spawn(q.push(std::make_unique<int>(2)));
    co_await testing::settle();
    co_await pusher.cancel_and_join();
    const auto v = co_await q.pop();
    CHECK(*v == 1);
    CHECK(q.empty());
}

EDDY_TEST("Q-09 close refuses waiting and later pushes; what is in the queue can still be popped") {
    queue<int> q(1);
    co_await q.push(1);
    auto pusher = spawn(q.push(2));
    auto joiner = spawn(q.join());
    co_await testing::settle();
    q.close();
    const auto waiting = co_await as_result(pusher);
    const auto later = co_await as_result(q.push(3));
    CHECK(words::holds<queue_closed>(waiting.exception()));
    CHECK(words::holds<queue_closed>(later.exception()));
    CHECK(words::throws<queue_closed>([&] { return q.try_push(4); }));
    CHECK(q.closed());
    const int v = co_await q.pop();
    const auto drained = co_await as_result(q.pop());
    CHECK(v == 1);
    CHECK(words::of(drained) == "the queue is closed");
    CHECK(words::throws<queue_closed>([&] { return q.try_pop(); }));
    CHECK_FALSE(joiner.done());
    q.task_done();
    co_await joiner;
}

EDDY_TEST("Q-11 close wakes all waiting poppers") {
    queue<int> q(1);
    auto a = spawn(q.pop());
    auto b = spawn(q.pop());
    co_await testing::settle();
    q.close();
    const auto ra = co_await as_result(a);
    const auto rb = co_await as_result(b);
    CHECK(words::holds<queue_closed>(ra.exception()));
    CHECK(words::holds<queue_closed>(rb.exception()));
}

EDDY_TEST("close_now drops what is in the queue, and that counts as done") {
    queue<int> q(3);
    for (int v : {1, 2, 3}) co_await q.push(v);
    const int v = co_await q.pop();
    auto joiner = spawn(q.join());
    co_await testing::settle();
    q.close_now();
    CHECK(v == 1);
    CHECK(q.empty());
    co_await testing::settle();
    CHECK_FALSE(joiner.done());
    q.task_done();
    co_await joiner;
    CHECK(words::throws<std::logic_error>([&] { q.task_done(); return 0; }));
}

EDDY_TEST("Q-12 task_done more often than there were items is an error") {
    queue<int> q(1);
    CHECK(words::of_call([&] { q.task_done(); return 0; }) ==
          "queue::task_done was called more often than there were items");
    co_return;
}

EDDY_TEST("Q-13 joining a queue that was never used takes no tick") {
    queue<int> q(1);
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    co_await q.join();
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("Q-14 two workers and a hundred items: each is processed exactly once") {
    queue<int> q(10);
    int sum = 0;
    auto worker = [&]() -> task<> {
        for (;;) {
            sum += co_await q.pop();
            co_await sleep_for(1ms);
            q.task_done();
        }
    };
    auto a = spawn(worker);
    auto b = spawn(worker);
    for (int i = 1; i <= 100; ++i) co_await q.push(i);
    co_await q.join();
    CHECK(sum == 5050);
    co_await a.cancel_and_join();
    co_await b.cancel_and_join();
}

EDDY_TEST("T-30 a thousand ready pops let a callback run after at most one budget", "[fifo]") {
    queue<int> q(1000);
    for (int i = 0; i < 1000; ++i) CHECK(q.try_push(i));
    co_await this_task::yield();
    int popped = 0;
    int seen = -1;
    this_loop().call_soon([&] { seen = popped; });
    for (; popped < 1000; ++popped) co_await q.pop();
    CHECK(seen >= 0);
    CHECK(seen <= 128);
}

EDDY_TEST("a queue without room is an invalid argument") {
    CHECK(words::throws<std::invalid_argument>([] { queue<int> q(0); return 0; }));
    queue<int> q(2);
    CHECK(q.try_push(1));
    CHECK(q.try_push(2));
    CHECK_FALSE(q.try_push(3));
    CHECK(q.full());
    CHECK(q.capacity() == 2);
    co_return;
}

EDDY_TEST("an item whose move throws breaks the push, not the popper that waits") {
    queue<fragile> q(1);
    int got = 0;
    auto h = spawn([&]() -> task<> {
        const fragile f = co_await q.pop();
        got = f.value;
    });
    co_await testing::settle();
    fragile::armed = 1;
    CHECK(words::of_call([&] { return q.try_push(fragile(1)); }) == "broke");
    fragile::armed = 0;
    CHECK(q.try_push(fragile(2)));
    co_await h;
    CHECK(got == 2);
}

EDDY_TEST("an item whose move out of the queue throws is still in it") {
    queue<fragile> q{2};
    co_await q.push(fragile(1));
    co_await q.push(fragile(2));
    fragile::armed = 1;
    const std::string tried = words::of_call([&] { return q.try_pop(); });
    const std::string popped = co_await words::ending(q.pop());
    fragile::armed = 0;
    CHECK(tried == "broke");
    CHECK(popped == "broke");
    CHECK(q.size() == 2);
    const auto first = co_await q.pop();
    const auto second = co_await q.pop();
    CHECK(first.value == 1);
    CHECK(second.value == 2);
}

EDDY_TEST("an item whose move throws breaks its push, not the pop that makes room for it") {
    queue<fragile> q(1);
    co_await q.push(fragile(1));
    auto pusher = spawn(q.push(fragile(2)));
    co_await testing::settle();
    fragile::armed = 2;
    const std::string first = co_await words::ending(q.pop());
    const std::string second = co_await words::ending(wait_for(q.pop(), 1s));
    CHECK(first == "ok");
    CHECK(second.find("timed out") == 0);
    const auto end = co_await as_result(pusher);
    fragile::armed = 0;
    CHECK(words::of(end) == "broke");
}

EDDY_TEST("done_at_end counts an item as done however the work on it ends") {
    queue<int> q{10};
    for (int i = 0; i < 3; ++i) q.try_push(i);
    auto worker = [&]() -> task<> {
        const int v = co_await q.pop();
        auto done = q.done_at_end();
        co_await sleep_for(1ms);
        if (v == 1) throw std::runtime_error("odd");
    };
    auto outs = co_await gather_outcomes(worker(), worker(), worker());
    co_await q.join();
    const int failed = !std::get<0>(outs) + !std::get<1>(outs) + !std::get<2>(outs);
    CHECK(failed == 1);
    CHECK(words::throws<std::logic_error>([&] { q.task_done(); return 0; }));
    const words::reports reports;
    { auto too_many = q.done_at_end(); }
    CHECK(reports.text() == "queue::task_done was called more often than there were items");
}
