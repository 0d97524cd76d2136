#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "lib/tasks.hpp"
#include "lib/words.hpp"
#if __has_include(<catch2/matchers/catch_matchers.hpp>)
#include <catch2/matchers/catch_matchers.hpp> // CHECK_THROWS_WITH of Catch2 3
#endif

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> late(std::chrono::nanoseconds d, int v) {
    return give(d, v);
}
task<int> forever(std::string& log) {
    try {
        co_await sleep_for(24h);
    } catch (const operation_cancelled& c) {
        log += std::string(c.reason()) + ";";
        throw;
    }
    co_return 0;
}

} // namespace

EDDY_TEST("join_set hands tasks out in the order they end, then nothing") {
    join_set<int> set;
    set.spawn(give(30ms, 3));
    set.spawn(late, 10ms, 1);
    set.spawn([](int v) -> task<int> { co_return co_await give(20ms, v); }, {.name = "two"}, 2);
    CHECK(set.size() == 3);
    CHECK(set.running() == 3);
    std::string order;
    while (auto h = co_await set.next()) order += std::to_string(h->result()) + " ";
    CHECK(order == "1 2 3 ");
    CHECK(set.empty());
}

EDDY_TEST("join_set takes tasks while it hands others out, and may be filled again when it was empty") {
    join_set<int> set;
    set.spawn(give(1ms, 4));
    int sum = 0;
    while (auto h = co_await set.next()) {
        const int v = h->result();
        sum += v;
        for (int i = 0; i < v; ++i) set.spawn(give(1ms, i));
    }
    CHECK(sum == 4 + (0 + 1 + 2 + 3) + (0 + 0 + 1 + 0 + 1 + 2) + (0 + 0 + 1 + 0) + 0);
    set.spawn(give(1ms, 7));
    auto again = co_await set.next();
    REQUIRE(again.has_value());
    CHECK(again->result() == 7);
}

EDDY_TEST("join_set: a failure is handed out like a value and cancels nobody") {
    join_set<int> set;
    set.spawn([]() -> task<int> {
        co_await sleep_for(1ms);
        throw std::runtime_error("broke");
    });
    set.spawn(give(2ms, 2));
    auto first = co_await set.next();
    REQUIRE(first.has_value());
    CHECK_THROWS_WITH(first->result(), "broke");
    auto second = co_await set.next();
    REQUIRE(second.has_value());
    CHECK(second->result() == 2);
}

EDDY_TEST("join_set: what ended unasked when the set goes is reported, what runs is cancelled and joined by the group") {
    std::string log;
    std::string reported;
    this_loop().set_exception_handler([&](const error_context& e) { reported += detail::describe(e.exception) + ";"; });
    co_await with_task_group([&](task_group&) -> task<> {
        join_set<int> set;
        set.spawn(forever, std::ref(log));
        set.spawn([]() -> task<int> { throw std::runtime_error("nobody asked"); co_return 0; });
        co_await sleep_for(1ms);
        CHECK(set.running() == 1);
        CHECK(set.size() == 2);
    });
    CHECK(log == "not needed any more;");
    CHECK(reported == "nobody asked;");
    this_loop().set_exception_handler({});
}

EDDY_TEST("join_set::cancel hands the cancelled tasks out, close joins them") {
    std::string log;
    join_set<int> set;
    set.spawn(forever, std::ref(log));
    set.spawn(give(0ns, 5));
    co_await sleep_for(1ms);
    set.cancel("enough");
    auto first = co_await set.next();
    REQUIRE(first.has_value());
    CHECK(first->result() == 5);
    auto second = co_await set.next();
    REQUIRE(second.has_value());
    CHECK(second->cancelled());
    CHECK(log == "enough;");

    set.spawn(forever, std::ref(log));
    co_await sleep_for(1ms);
    co_await set.close();
    CHECK(set.running() == 0);
    CHECK(log == "enough;not needed any more;");
}

EDDY_TEST("join_set: a task belongs to the group around the task that spawns it") {
    join_set<int> set;
    bool spawned = false;
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn([&]() -> task<> {
            set.spawn(give(5ms, 1));
            spawned = true;
            co_return;
        });
        co_return;
    });
    CHECK(spawned);
    CHECK(set.running() == 0); // the block waited for it
    auto h = co_await set.next();
    REQUIRE(h.has_value());
    CHECK(h->result() == 1);
    set.spawn(give(5ms, 2)); // the group is over, the set is not
    auto h2 = co_await set.next();
    REQUIRE(h2.has_value());
    CHECK(h2->result() == 2);
}

EDDY_TEST("join_set: one reader at a time, and none of a set that is gone") {
    auto set = std::make_unique<join_set<int>>();
    set->spawn(give(1h, 1));
    std::string first;
    auto reader = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await set->next());
        } catch (const closed_resource& e) {
            first = e.what();
        }
    });
    co_await testing::settle();
    std::string second;
    try {
        static_cast<void>(co_await set->next());
    } catch (const busy_resource& e) {
        second = e.what();
    }
    CHECK(second == "join_set::next: another task waits for the next one already");
    set.reset();
    co_await reader;
    CHECK(first == "join_set::next: it was destroyed meanwhile");
}

EDDY_TEST("join_set: a task whose start throws leaves nothing behind") {
    join_set<int> set;
    CHECK_THROWS_AS(set.spawn([](int) -> task<int> { throw std::logic_error("never"); }, 1), std::logic_error);
    CHECK(set.empty());
    task<int> empty = give(1ms, 1);
    task<int> moved = std::move(empty);
    CHECK_THROWS_AS(set.spawn(std::move(empty)), std::logic_error);
    CHECK(set.empty());
    join_set<int> other = std::move(set);
    CHECK_THROWS_AS(set.spawn(std::move(moved)), std::logic_error);
    CHECK(set.empty());
    const auto none = co_await other.next();
    CHECK_FALSE(none.has_value());
}

EDDY_TEST("join_set: a set that goes while the budget defers its reader still ends it with closed_resource") {
    auto set = std::make_unique<join_set<int>>();
    set->spawn(give(1h, 1));
    event ready;
    ready.set();
    bool began = false;
    std::string end;
    auto reader = spawn([&]() -> task<> {
        for (int i = 0; i < 128; ++i) co_await ready.wait(); // the budget of a step
        began = true;
        auto next = set->next();
        end = co_await words::ending(std::move(next));
    });
    while (!began) co_await this_task::yield();
    set.reset();
    co_await reader;
    CHECK(end == "join_set::next: it was destroyed meanwhile");
}

EDDY_TEST("join_set: an operation that outlives its set says so, or has nothing to wait for") {
    auto set = std::make_unique<join_set<int>>();
    auto next = set->next();
    auto close = set->close();
    set.reset();
    std::string end = co_await words::ending(std::move(next));
    CHECK(end == "join_set::next: it was destroyed meanwhile");
    co_await close;
}

EDDY_TEST("join_set: a member that would wait for its own end gets an error") {
    join_set<int> set;
    set.spawn([&]() -> task<int> {
        co_await set.close();
        co_return 1;
    });
    auto h = co_await set.next();
    REQUIRE(h.has_value());
    CHECK_THROWS_WITH(h->result(), "close: this task is in the set, and would wait for itself");
}

EDDY_TEST("join_set: what a member of a race or a gather spawns is not the race's") {
    join_set<int> set;
    auto accept = [&]() -> task<> {
        set.spawn(give(5ms, 7));
        co_await sleep_for(1h);
    };
    const auto won = co_await race(accept(), sleep_for(1ms));
    CHECK(won.index == 1);
    auto h = co_await set.next();
    REQUIRE(h.has_value());
    CHECK(h->result() == 7);
    auto quick = [&]() -> task<> {
        set.spawn(give(1h, 8));
        co_return;
    };
    co_await gather(quick(), quick());
    CHECK(set.running() == 2);
}

EDDY_TEST("join_set: behind a shield its tasks are not cancelled from around it") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await with_task_group([&](task_group&) -> task<> {
            this_task::handle().cancel();
            co_await with_shield([&]() -> task<> {
                join_set<int> flushing;
                flushing.spawn(give(1ms, 1));
                auto done = co_await flushing.next();
                log = done->cancelled() ? "cancelled" : "flushed";
            });
        });
    });
    co_await h.join();
    CHECK(log == "flushed");
}

TEST_CASE("join_set: needs its loop, running") {
    CHECK_THROWS_AS(join_set<int>(), std::logic_error);
    std::optional<join_set<int>> set;
    run([](std::optional<join_set<int>>& out) -> task<> {
        out.emplace();
        co_return;
    }(set));
    CHECK_THROWS_AS(set->spawn(give(1ms, 1)), std::logic_error);
    run([](join_set<int>& s) -> task<> {
        CHECK_THROWS_WITH(s.spawn(give(1ms, 1)), "a task was spawned into a set that belongs to another loop, or to one that is gone");
        co_return;
    }(*set));
}
