// Task-locals where threads and runs meet.
#include <eddy/runtime.hpp>
#include <eddy/task_local.hpp>
#include <eddy/testing.hpp>

#include <string>
#include <thread>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task_local<int> user{0};
task_local<std::string> request;

task<int> set_and_return(int v) {
    const int before = user.get();
    user.set(v);
    co_return before;
}

} // namespace

EDDY_TEST("O-03 an offloaded function sees the task's values; what it sets is not visible to the task") {
    user.set(7);
    request.set("r1");
    auto op = offload([] {
        const int seen = user.get();
        user.set(8);
        return std::to_string(seen) + request.get() + std::to_string(user.get());
    });
    const std::string seen = co_await op;
    CHECK(seen == "7r18");
    CHECK(user.get() == 7);
    const int next = co_await offload([] { return user.get(); });
    CHECK(next == 7);
}

EDDY_TEST("O-03 a worker keeps nothing of the calls it has run") {
    worker_pool pool{1};
    user.set(5);
    co_await offload(pool, [] { user.set(6); });
    user.reset();
    const int seen = co_await offload(pool, [] { return user.get(); });
    CHECK(seen == 0);
}

EDDY_TEST("O-03 an abandoned function keeps the values it was started with") {
    user.set(3);
    const int seen = co_await offload(abandon, [] { return user.get(); });
    CHECK(seen == 3);
}

TEST_CASE("T-24 outside tasks the values are the thread's own; run gives main a copy") {
    std::thread([] {
        CHECK(user.get() == 0);
        user.set(1);
        const int seen = run(set_and_return(2));
        CHECK(seen == 1);
        CHECK(user.get() == 1);
    }).join();
    CHECK(user.get() == 0);
}

TEST_CASE("RN-09 the runs of a runner share the main task's values") {
    runner r;
    const int first = r.run(set_and_return(1));
    const int second = r.run(set_and_return(2));
    const int third = r.run(set_and_return(3));
    CHECK(first == 0);
    CHECK(second == 1);
    CHECK(third == 2);
    CHECK(user.get() == 0);
}

TEST_CASE("a callback posted from outside a task has the values of the thread that posted it") {
    std::thread([] {
        event_loop loop;
        user.set(4);
        int seen = 0;
        loop.call_soon([&] {
            seen = user.get();
            user.set(9);
            loop.stop();
        });
        user.set(5);
        loop.run_forever();
        CHECK(seen == 4);
        CHECK(user.get() == 5);
    }).join();
}
