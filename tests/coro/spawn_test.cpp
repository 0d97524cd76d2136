#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Counts its live copies.
class counted {
public:
    explicit counted(int& alive) noexcept : alive_(&alive) { ++*alive_; }
    counted(const counted& o) noexcept : alive_(o.alive_) { ++*alive_; }
    counted& operator=(const counted&) = delete;
    ~counted() { --*alive_; }

private:
    int* alive_;
};

/// A result that throws when it is destroyed; the one it was moved to does it.
struct thrower {
    explicit thrower(bool a) noexcept : armed(a) {}
    thrower(thrower&& o) noexcept : armed(std::exchange(o.armed, false)) {}
    thrower& operator=(thrower&&) = delete;
    ~thrower() noexcept(false) {
        if (armed) throw std::runtime_error("destructor");
    }
    bool armed;
};

} // namespace

EDDY_TEST("T-01 spawned tasks run in order, after the spawner suspends", "[fifo]") {
    std::string log;
    auto add = [&](const char* s) -> task<> {
        log += s;
        co_return;
    };
    spawn(add, "1 ");
    spawn(add, "2 ");
    spawn(add, "3 ");
    log += "s ";
    co_await this_task::yield();
    log += "e";
    CHECK(log == "s 1 2 3 e");
}

EDDY_TEST("T-20 all_tasks contains a task from its spawn to its end") {
    const auto listed = [](const any_task& t) {
        for (const any_task& u : this_loop().all_tasks()) {
            if (u == t) return true;
        }
        return false;
    };
    auto h = spawn(give(1));
    CHECK(listed(h));
    CHECK(this_loop().all_tasks().size() == 2);
    co_await h;
    CHECK_FALSE(listed(h));
    CHECK(this_loop().all_tasks().size() == 1);
}

EDDY_TEST("T-26 an eager task that never suspends is done when spawn_eager returns") {
    auto h = spawn_eager(give(4));
    CHECK(h.done());
    CHECK_FALSE(h.cancel());
    CHECK(h.result() == 4);
    co_return;
}

EDDY_TEST("T-27 this_task is the eager child inside its first step, the parent again afterwards") {
    const any_task parent = this_task::handle();
    any_task child;
    std::size_t listed = 0;
    auto h = spawn_eager([&]() -> task<> {
        child = this_task::handle();
        listed = this_loop().all_tasks().size();
        co_await this_task::yield();
        CHECK(this_task::handle() == child);
    });
    CHECK(child == h);
    CHECK_FALSE(child == parent);
    CHECK(this_task::handle() == parent);
    CHECK(listed == 2);
    CHECK_FALSE(h.done());
    co_await h;
}

EDDY_TEST("T-20 T-27 an eager task is listed from its spawn on, in its first step as well") {
    const auto listed = [](const any_task& t) {
        for (const any_task& u : this_loop().all_tasks()) {
            if (u == t) return true;
        }
        return false;
    };
    bool in_first_step = false;
    auto h = spawn_eager([&]() -> task<> {
        in_first_step = listed(this_task::handle());
        co_await this_task::yield();
    });
    CHECK(in_first_step);
    CHECK(listed(h));
    co_await h;
    CHECK_FALSE(listed(h));
}

EDDY_TEST("eager tasks nest, and a failing one fails through its handle only") {
    std::string log;
    auto inner = [&]() -> task<> {
        log += "inner ";
        throw std::runtime_error("eager");
        co_return;
    };
    auto outer = spawn_eager([&]() -> task<> {
        log += "outer ";
        auto h = spawn_eager(inner);
        log += "back ";
        const auto r = co_await as_result(h);
        log += words::of(r);
    });
    co_await outer;
    CHECK(log == "outer inner back eager");
}

EDDY_TEST("an eager task can be spawned from a plain callback") {
    std::string log;
    this_loop().call_soon([&] {
        spawn_eager([&]() -> task<> {
            log += "first ";
            co_await this_task::yield();
            log += "second";
        });
        log += this_task::handle() ? "task " : "callback ";
    });
    co_await testing::settle();
    CHECK(log == "first callback second");
}

EDDY_TEST("T-35 spawn keeps a capturing closure and its arguments alive until the task ends") {
    int alive = 0;
    std::string log;
    {
        const counted token(alive);
        spawn([token, &log](counted, std::string text) -> task<> {
            co_await sleep_for(1s);
            log += text;
        }, token, std::string("argument"));
        spawn([token, &log]() -> task<> {
            co_await sleep_for(1500ms);
            log += " closure";
        });
    }
    CHECK(alive > 0);
    co_await sleep_for(2s);
    CHECK(log == "argument closure");
    CHECK(alive == 0);
}

EDDY_TEST("T-35 the closure goes when the task ends, not with its handle") {
    int alive = 0;
    auto fn = std::make_unique<std::function<task<>()>>([token = counted(alive)]() -> task<> { co_return; });
    auto h = spawn(*fn);
    fn.reset();
    CHECK(alive == 1);
    co_await h;
    CHECK(alive == 0);
}

EDDY_TEST("spawn takes any awaitable") {
    event e;
    auto h = spawn(e.wait());
    queue<int> q(1);
    auto popped = spawn(q.pop());
    co_await testing::settle();
    CHECK_FALSE(h.done());
    e.set();
    co_await h;
    CHECK(q.try_push(3));
    const int v = co_await popped;
    CHECK(v == 3);
}

EDDY_TEST("what the callable throws before it returns its task comes out of spawn, and nothing is registered") {
    const std::size_t before = this_loop().all_tasks().size();
    const auto plain = []() -> task<int> { throw std::runtime_error("no task"); };
    const auto empty = []() -> task<int> { return {}; };
    CHECK(words::of_call([&] { return spawn(plain); }) == "no task");
    CHECK(words::of_call([&] { return spawn(empty); }) == "spawn: the callable returned an empty task");
    CHECK(words::of_call([&] { return spawn(task<int>()); }) == "spawn: the task is empty (it was moved from)");
    CHECK(this_loop().all_tasks().size() == before);
    co_return;
}

TEST_CASE("spawn without a running loop says what to do") {
    CHECK(words::of_call([] { return spawn(give(1)); }).find("spawn needs a running loop on this thread") == 0);
}

EDDY_TEST("a result whose destructor throws is reported, and the task's end is not disturbed") {
    const words::reports reports;
    {
        auto h = spawn([]() -> task<thrower> { co_return thrower(true); });
        co_await h.join();
        CHECK(h.done());
        CHECK(reports.count() == 0);
    }
    CHECK(reports.text() == "destructor");
}

EDDY_TEST("a result that nobody takes is destroyed, and what its destructor throws is reported, wherever it is dropped") {
    const words::reports reports;
    const auto make = []() -> task<thrower> { co_return thrower(true); };
    const auto fails = []() -> task<int> {
        co_await sleep_for(1ms);
        throw std::runtime_error("E");
    };
    const auto g = co_await as_result(gather(make(), fails()));
    CHECK(words::of(g) == "E");
    co_await testing::settle();
    CHECK(reports.text() == "destructor");
    {
        auto h = spawn_eager(make());
    }
    co_await with_task_group([&](task_group& grp) -> task<> {
        grp.spawn(make());
        co_return;
    });
    co_await testing::settle();
    CHECK(reports.count() == 3);
    {
        auto h = spawn(make());
        co_await h.cancel_and_join();
    }
    CHECK(reports.count() == 4);
}
