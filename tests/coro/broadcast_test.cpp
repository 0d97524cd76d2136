#include <eddy/coro.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <optional>
#include <string>

#include "allocations.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<std::string> hear(subscription<int> s) {
    std::string log;
    while (auto v = co_await s.next()) log += std::to_string(*v) + " ";
    co_return log + "end";
}

} // namespace

EDDY_TEST("every subscriber of a broadcast sees every value since it subscribed, then the end") {
    broadcast<int> b(4);
    auto early = spawn(hear(b.subscribe()));
    b.send(1);
    CHECK(b.send(2) == 1);
    auto late = spawn(hear(b.subscribe()));
    CHECK(b.subscribers() == 2);
    co_await testing::settle();
    b.send(3);
    b.close();
    const auto x = co_await early;
    const auto y = co_await late;
    CHECK(x == "1 2 3 end");
    CHECK(y == "3 end");
    CHECK(b.subscribers() == 0);
    CHECK(words::throws<closed_resource>([&] { return b.send(4); }));
}

EDDY_TEST("a slow subscriber is told how many values it missed, and goes on with the oldest left") {
    broadcast<int> b(2);
    auto slow = b.subscribe();
    for (int i = 1; i <= 5; ++i) b.send(i);
    std::uint64_t missed = 0;
    try {
        static_cast<void>(co_await slow.next());
    } catch (const lagged& e) {
        missed = e.missed();
        CHECK(std::string(e.what()) == "a subscriber was too slow and missed 3 values");
    }
    CHECK(missed == 3);
    const auto four = co_await slow.next();
    CHECK(four == 4);
    CHECK(slow.try_next() == 5);
    CHECK_FALSE(slow.try_next().has_value());
    for (int i = 6; i <= 8; ++i) b.send(i);
    CHECK(words::throws<lagged>([&] { return slow.try_next(); }));
    CHECK(slow.try_next() == 7);
}

EDDY_TEST("a subscriber woken for a value in the tick of its cancellation gets it; a cancelled one loses nothing") {
    broadcast<int> b(4);
    auto s = b.subscribe();
    int got = 0;
    auto h = spawn([&]() -> task<> {
        const auto v = co_await s.next();
        got = *v;
        co_await this_task::checkpoint();
        got = -1;
    });
    co_await testing::settle();
    b.send(1);
    h.cancel();
    co_await h.join();
    CHECK(got == 1);
    CHECK(h.cancelled());
    auto waiting = spawn(s.next());
    co_await testing::settle();
    co_await waiting.cancel_and_join();
    b.send(2);
    const auto v = co_await s.next();
    CHECK(v == 2);
    const auto late = co_await move_on_after(1ms, [&](cancel_scope&) -> task<std::optional<int>> { co_return co_await s.next(); });
    CHECK_FALSE(late.has_value());
}

EDDY_TEST("a subscription serves one consumer at a time; closed, it wakes who waits") {
    broadcast<int> b(4);
    auto s = b.subscribe();
    auto h = spawn(s.next());
    co_await testing::settle();
    const auto second = co_await as_result(s.next());
    CHECK(words::holds<busy_resource>(second.exception()));
    CHECK(words::throws<busy_resource>([&] { return s.try_next(); }));
    s.close();
    const auto end = co_await as_result(h);
    const auto later = co_await as_result(s.next());
    CHECK(words::of(end) == "this subscription was closed");
    CHECK(words::holds<closed_resource>(later.exception()));
    CHECK(b.send(1) == 0);
}

EDDY_TEST("subscriptions outlive their broadcast, waits outlive their subscription") {
    std::optional<broadcast<int>> b(std::in_place, 4u);
    auto s = b->subscribe();
    b->send(1);
    auto other = std::make_unique<subscription<int>>(b->subscribe());
    auto waiting = spawn(other->next());
    co_await testing::settle();
    other.reset();
    const auto closed = co_await as_result(waiting);
    CHECK(words::holds<closed_resource>(closed.exception()));
    b.reset();
    const auto one = co_await s.next();
    const auto end = co_await s.next();
    CHECK(one == 1);
    CHECK_FALSE(end.has_value());
    auto moved = std::move(s);
    CHECK(words::throws<std::logic_error>([&] { return s.next(); }));
    CHECK(words::throws<std::invalid_argument>([] { broadcast<int> none(0); return 0; }));
}

EDDY_TEST("sending to subscribers allocates nothing") {
    broadcast<int> b(4);
    auto s = b.subscribe();
    const auto round = [&]() -> task<> {
        b.send(1);
        static_cast<void>(co_await s.next());
        auto h = spawn(s.next());
        co_await this_task::yield();
        b.send(2);
        co_await h;
    };
    for (int i = 0; i < 300; ++i) co_await round();
    const std::size_t before = allocations::count();
    for (int i = 0; i < 1000; ++i) co_await round();
    CHECK((!allocations::counted || allocations::count() == before));
}
