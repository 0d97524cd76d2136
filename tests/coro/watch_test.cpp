#include <eddy/coro.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <optional>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("a watcher waits for a change and gets the latest value") {
    watch<std::string> w("a");
    auto seen = w.subscribe();
    CHECK(seen.get() == "a");
    CHECK_FALSE(seen.changed());
    auto h = spawn(seen.next());
    co_await testing::settle();
    CHECK_FALSE(h.done());
    w.set("b");
    w.set("c");
    const auto v = co_await h;
    CHECK(v == "c");
    CHECK_FALSE(seen.changed());
    w.set("c");
    CHECK(seen.changed());
    const auto same = co_await seen.next();
    CHECK(same == "c");
    CHECK(w.get() == "c");
}

EDDY_TEST("all watchers are woken, each once") {
    watch<int> w(0);
    std::string log;
    auto follow = [&](watcher<int> s) -> task<> {
        while (auto v = co_await s.next()) log += std::to_string(*v) + " ";
        log += "end ";
    };
    auto a = spawn(follow, w.subscribe());
    auto b = spawn(follow, w.subscribe());
    co_await testing::settle();
    w.set(1);
    co_await testing::settle();
    CHECK(log == "1 1 ");
    w.set(2);
    w.close();
    co_await a;
    co_await b;
    CHECK(log.size() == 16);
    CHECK(log.find("2 end ") != std::string::npos);
    CHECK(words::throws<closed_resource>([&] { w.set(3); return 0; }));
}

EDDY_TEST("a watcher woken in the tick of its cancellation gets the value; a cancelled one has not seen it") {
    watch<int> w(0);
    auto s = w.subscribe();
    int got = 0;
    auto h = spawn([&]() -> task<> {
        const auto v = co_await s.next();
        got = *v;
        co_await this_task::checkpoint();
        got = -1;
    });
    co_await testing::settle();
    w.set(1);
    h.cancel();
    co_await h.join();
    CHECK(got == 1);
    CHECK(h.cancelled());
    const auto late = co_await move_on_after(1ms, [&](cancel_scope&) -> task<std::optional<int>> { co_return co_await s.next(); });
    CHECK_FALSE(late.has_value());
    w.set(2);
    const auto two = co_await s.next();
    CHECK(two == 2);
}

EDDY_TEST("a watcher serves one consumer at a time; closed or destroyed, it wakes who waits") {
    watch<int> w(0);
    auto s = w.subscribe();
    auto h = spawn(s.next());
    co_await testing::settle();
    const auto second = co_await as_result(s.next());
    CHECK(words::holds<busy_resource>(second.exception()));
    s.close();
    const auto end = co_await as_result(h);
    CHECK(words::holds<closed_resource>(end.exception()));
    auto other = w.subscribe();
    auto g = spawn(other.next());
    co_await testing::settle();
    other = w.subscribe();
    const auto gone = co_await as_result(g);
    CHECK(words::holds<closed_resource>(gone.exception()));
    w.set(1);
    const auto v = co_await other.next();
    CHECK(v == 1);
}

EDDY_TEST("a watcher outlives its watch, and sees the last value once") {
    std::optional<watch<int>> w(std::in_place, 1);
    auto s = w->subscribe();
    w->set(2);
    w.reset();
    CHECK(s.get() == 2);
    const auto two = co_await s.next();
    const auto end = co_await s.next();
    CHECK(two == 2);
    CHECK_FALSE(end.has_value());
}
