#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> add_one(int x) {
    co_return x + 1;
}

task<int> chain(int depth) {
    if (depth == 0) co_return 0;
    const int below = co_await chain(depth - 1);
    co_return below + 1;
}

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

EDDY_TEST("T-02 awaiting a task runs it inline") {
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const int v = co_await add_one(1);
    log += "a ";
    co_await this_task::yield();
    CHECK(log == "a tick ");
    CHECK(v == 2);
}

EDDY_TEST("T-32 a chain of 100 000 tasks completes in constant stack") {
    const int v = co_await chain(100'000);
    CHECK(v == 100'000);
}

EDDY_TEST("T-33 a million ready awaits run in constant stack") {
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await add_one(0);
    CHECK(sum == 1'000'000);
}
EDDY_TEST("sleep and timeout") {
    bool timed_out = false;
    try {
        co_await with_timeout(10ms, [](cancel_scope&) -> task<> { co_await sleep_for(1h); });
    } catch (const timeout_error&) {
        timed_out = true;
    }
    CHECK(timed_out);
    auto h = spawn([]() -> task<int> { co_await sleep_for(1h); co_return 4; });
    const int v = co_await h;
    CHECK(v == 4);
    auto both = co_await gather(add_one(1), add_one(2));
    CHECK(std::get<1>(both) == 3);
    auto won = co_await race(sleep_for(10ms), sleep_for(20ms));
    CHECK(won.index == 0);
    const int sum = co_await with_task_group([](task_group& g) -> task<int> {
        auto a = g.spawn(add_one(1));
        g.spawn([]() -> task<> { co_await sleep_for(10ms); });
        const int r = co_await a;
        co_return r;
    });
    CHECK(sum == 2);
}
