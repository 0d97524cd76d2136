#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <optional>
#include <string>

#include "allocations.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task_local<int> user{0};
task_local<std::string> request;

task<> set_inline(int v) {
    user.set(v);
    co_return;
}

} // namespace

EDDY_TEST("T-23 a child starts with its parent's values; neither sees what the other sets later") {
    user.set(1);
    std::string log;
    auto child = spawn([&]() -> task<> {
        log += std::to_string(user.get()) + " ";
        user.set(9);
        co_await this_task::yield();
        log += std::to_string(user.get()) + " ";
    });
    user.set(2);
    CHECK(user.get() == 2);
    co_await this_task::yield();
    CHECK(user.get() == 2);
    co_await child;
    CHECK(user.get() == 2);
    CHECK(log == "1 9 ");
}

EDDY_TEST("T-24 a hundred tasks set and read their values across sleeps: no crosstalk") {
    user.set(-1);
    int wrong = 0;
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < 100; ++i) {
            g.spawn([&wrong](int id) -> task<> {
                for (int round = 0; round < 10; ++round) {
                    user.set(100 * id + round);
                    request.set(std::to_string(id));
                    co_await sleep_for(1ms * (id % 7 + 1));
                    if (user.get() != 100 * id + round || request.get() != std::to_string(id)) ++wrong;
                }
            }, i);
        }
        co_return;
    });
    CHECK(wrong == 0);
    CHECK(user.get() == -1);
    CHECK(request.get().empty());
}

EDDY_TEST("a task_local that was not set has its initial value") {
    task_local<std::string> name("nobody");
    CHECK(name.get() == "nobody");
    CHECK_FALSE(name.is_set());
    name.set("me");
    CHECK(name.is_set());
    CHECK(name.get() == "me");
    name.reset();
    CHECK(name.get() == "nobody");
    CHECK_FALSE(name.is_set());
    co_return;
}

EDDY_TEST("a task that is awaited inline shares its caller's values") {
    user.set(1);
    co_await set_inline(5);
    CHECK(user.get() == 5);
}

EDDY_TEST("with_value sets a value back at the end of the block, and only that one") {
    user.set(1);
    {
        const auto restored = user.with_value(2);
        CHECK(user.get() == 2);
        request.set("kept");
        co_await this_task::yield();
        CHECK(user.get() == 2);
        auto child = spawn([]() -> task<int> { co_return user.get(); });
        const int seen = co_await child;
        CHECK(seen == 2);
    }
    CHECK(user.get() == 1);
    CHECK(request.get() == "kept");
    task_local<int> fresh(3);
    {
        const auto restored = fresh.with_value(4);
        CHECK(fresh.get() == 4);
    }
    CHECK_FALSE(fresh.is_set());
}

EDDY_TEST("a group's children, gather's members and eager tasks inherit too") {
    user.set(3);
    int sum = 0;
    auto add = [&sum]() -> task<> {
        sum += user.get();
        user.set(100);
        co_return;
    };
    co_await with_task_group([&](task_group& g) -> task<> {
        g.spawn(add);
        g.spawn_eager(add);
        co_return;
    });
    co_await gather(add(), add());
    spawn_eager(add);
    CHECK(sum == 15);
    CHECK(user.get() == 3);
}

EDDY_TEST("R11 a callback runs with a copy of the values of the place that registered it") {
    std::string log;
    const auto note = [&] {
        log += std::to_string(user.get()) + " ";
        user.set(50);
    };
    user.set(1);
    this_loop().call_soon(note);
    user.set(2);
    this_loop().call_later(1ms, note);
    promise<int> p;
    user.set(3);
    p.get_future().on_done(note);
    user.set(4);
    this_loop().call_soon_threadsafe(note);
    user.set(5);
    co_await sleep_for(500us);
    co_await sleep_for(1ms);
    p.set_value(1);
    co_await testing::settle();
    CHECK(user.get() == 5);
    CHECK(log.size() == 8);
    for (const char* seen : {"1 ", "2 ", "3 ", "4 "}) CHECK(log.find(seen) != std::string::npos);
}

EDDY_TEST("R11 a callback that a callback posts has the values of that callback") {
    int seen = 0;
    this_loop().call_soon([&] {
        user.set(8);
        this_loop().call_soon([&] { seen = user.get(); });
        user.set(9);
        spawn([]() -> task<> {
            CHECK(user.get() == 9);
            co_return;
        });
    });
    user.set(1);
    co_await testing::settle();
    CHECK(seen == 8);
}

EDDY_TEST("a generator's body sees the values of the task that awaits it") {
    auto values = []() -> async_generator<int> {
        for (;;) co_yield user.get();
    };
    auto gen = values();
    user.set(1);
    const auto a = co_await gen.next();
    auto h = spawn([&]() -> task<> {
        user.set(2);
        const auto b = co_await gen.next();
        CHECK(b == 2);
    });
    co_await h;
    const auto c = co_await gen.next();
    CHECK(a == 1);
    CHECK(c == 1);
}

EDDY_TEST("values are shared and may be move-only; the last task that has one destroys it") {
    task_local<std::shared_ptr<int>> shared;
    std::weak_ptr<int> weak;
    auto h = spawn([&]() -> task<> {
        auto value = std::make_shared<int>(1);
        weak = value;
        shared.set(std::move(value));
        auto child = spawn([&]() -> task<> { co_await sleep_for(1s); });
        shared.reset();
        CHECK_FALSE(weak.expired());
        co_await child;
    });
    co_await h;
    CHECK(weak.expired());
    task_local<std::unique_ptr<int>> unique;
    unique.set(std::make_unique<int>(5));
    auto reader = spawn([&]() -> task<int> { co_return *unique.get(); });
    const int v = co_await reader;
    CHECK(v == 5);
}

EDDY_TEST("two task_locals in the same place are not mixed up") {
    std::optional<task_local<int>> x(std::in_place, 1);
    x->set(2);
    x.reset();
    x.emplace(3);
    CHECK(x->get() == 3);
    co_return;
}

EDDY_TEST("setting out of memory changes nothing; setting back does not fail") {
    task_local<std::string> text("initial");
    text.set("before");
    bool failed = false;
    for (long n = 0; n < 4; ++n) {
        try {
            const std::string long_text(100, 'x');
            const allocations::failing out_of_memory(n);
            text.set(long_text);
        } catch (const std::bad_alloc&) {
            failed = true;
            CHECK(text.get() == "before");
            continue;
        }
        break;
    }
    CHECK(failed);
    text.set("outer");
    std::optional<allocations::failing> none_left;
    {
        const auto restored = text.with_value("inner");
        none_left.emplace(0);
    }
    none_left.reset();
    CHECK(text.get() == "outer");
    co_return;
}

EDDY_TEST("spawning a task that inherits values allocates nothing") {
    user.set(7);
    request.set("r");
    const auto round = []() -> task<> {
        auto h = spawn([]() -> task<int> { co_return user.get(); });
        static_cast<void>(co_await h);
    };
    for (int i = 0; i < 300; ++i) co_await round();
    const std::size_t before = allocations::count();
    for (int i = 0; i < 1000; ++i) co_await round();
    CHECK((!allocations::counted || allocations::count() == before));
}
