#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <string>
#include <utility>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> lock_and_note(mutex& m, std::string& log, const char* name, std::chrono::nanoseconds hold = 0ns) {
    auto guard = co_await m.lock();
    log += name;
    co_await sleep_for(hold);
}

} // namespace

EDDY_TEST("L-01 waiters get the lock in the order they came", "[fifo]") {
    mutex m;
    std::string log;
    auto guard = co_await m.lock();
    auto a = spawn(lock_and_note(m, log, "a "));
    auto b = spawn(lock_and_note(m, log, "b "));
    co_await testing::settle();
    guard.unlock();
    co_await a;
    co_await b;
    CHECK(log == "a b ");
    CHECK_FALSE(m.locked());
}

EDDY_TEST("L-02 a waiter goes before the releaser who locks again") {
    mutex m;
    std::string log;
    auto guard = co_await m.lock();
    auto waiter = spawn(lock_and_note(m, log, "waiter "));
    co_await testing::settle();
    guard.unlock();
    auto again = co_await m.lock();
    log += "releaser";
    CHECK(log == "waiter releaser");
    again.unlock();
    co_await waiter;
}

EDDY_TEST("L-03 between the release and the waiter's resumption the mutex stays locked") {
    mutex m;
    std::string log;
    auto guard = co_await m.lock();
    auto waiter = spawn(lock_and_note(m, log, "waiter "));
    co_await testing::settle();
    guard.unlock();
    CHECK(m.locked());
    CHECK_FALSE(m.try_lock().has_value());
    CHECK(log == "");
    co_await waiter;
    CHECK_FALSE(m.locked());
}

EDDY_TEST("L-04 a waiter that was chosen and cancelled in one tick passes the lock on by unwinding") {
    mutex m;
    std::string log;
    auto guard = co_await m.lock();
    auto b = spawn([&]() -> task<> {
        auto own = co_await m.lock();
        log += "b ";
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    auto c = spawn(lock_and_note(m, log, "c "));
    co_await testing::settle();
    guard.unlock();
    b.cancel();
    co_await c;
    CHECK(log == "b c ");
    CHECK(b.cancelled());
    CHECK_FALSE(m.locked());
}

EDDY_TEST("L-07 granted in the tick of its timeout, the lock is acquired, and never leaked", "[fifo]") {
    mutex m;
    auto held = co_await m.lock();
    this_loop().call_later(1s, [&] { held.unlock(); });
    bool acquired = false;
    co_await with_timeout(1s, [&](cancel_scope&) -> task<> {
        auto guard = co_await m.lock();
        acquired = true;
    });
    CHECK(acquired);
    CHECK_FALSE(m.locked());
}

EDDY_TEST("L-07 a timed-out wait takes nothing and leaves no entry") {
    mutex m;
    auto guard = co_await m.lock();
    const bool got = co_await move_on_after(1s, [&](cancel_scope&) -> task<> { auto own = co_await m.lock(); });
    CHECK_FALSE(got);
    guard.unlock();
    CHECK_FALSE(m.locked());
}

EDDY_TEST("L-08 locking a free mutex takes no tick") {
    mutex m;
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    {
        auto guard = co_await m.lock();
        log += "locked ";
    }
    co_await testing::settle();
    CHECK(log == "locked tick ");
}

EDDY_TEST("L-09 unlocking a guard that owns nothing is an error") {
    mutex m;
    auto guard = co_await m.lock();
    CHECK(guard.owns_lock());
    auto moved = std::move(guard);
    CHECK_FALSE(guard);
    CHECK(words::of_call([&] { guard.unlock(); return 0; }) == "mutex_guard::unlock: the guard owns no lock");
    CHECK(moved.owner() == &m);
    moved.unlock();
    CHECK(words::throws<std::logic_error>([&] { moved.unlock(); return 0; }));
}

EDDY_TEST("assigning a guard swaps what the two own; both are unlocked in the end") {
    mutex a;
    mutex b;
    {
        auto ga = co_await a.lock();
        auto gb = co_await b.lock();
        ga = std::move(gb);
        CHECK(ga.owner() == &b);
    }
    CHECK_FALSE(a.locked());
    CHECK_FALSE(b.locked());
}

EDDY_TEST("L-11 two tasks that hold and sleep alternate") {
    mutex m;
    std::string log;
    auto player = [&](const char* name) -> task<> {
        for (int i = 0; i < 100; ++i) {
            auto guard = co_await m.lock();
            log += name;
            co_await sleep_for(1ms);
        }
    };
    auto a = spawn(player, "a");
    co_await this_task::yield();
    auto b = spawn(player, "b");
    co_await a;
    co_await b;
    std::string expected;
    for (int i = 0; i < 100; ++i) expected += "ab";
    CHECK(log == expected);
}

EDDY_TEST("a cancelled waiter in the middle leaves the others in order", "[fifo]") {
    mutex m;
    std::string log;
    auto guard = co_await m.lock();
    auto a = spawn(lock_and_note(m, log, "a "));
    auto b = spawn(lock_and_note(m, log, "b "));
    auto c = spawn(lock_and_note(m, log, "c "));
    co_await testing::settle();
    co_await b.cancel_and_join();
    guard.unlock();
    co_await a;
    co_await c;
    CHECK(log == "a c ");
}

TEST_CASE("in debug mode a task that locks a mutex twice is told, instead of waiting for itself") {
    event_loop loop(loop_options{.debug = true});
    const std::string end = loop.run_until_complete([]() -> task<std::string> {
        mutex m;
        auto guard = co_await m.lock();
        std::string text = co_await words::ending(m.lock());
        guard.unlock();
        auto again = co_await m.lock();
        co_return text;
    }());
    CHECK(end == "mutex::lock: this task has locked the mutex already and would wait for itself");
}

EDDY_TEST("a guard that is assigned over unlocks what it had") {
    mutex a;
    mutex b;
    auto ga = co_await a.lock();
    auto gb = co_await b.lock();
    ga = std::move(gb);
    CHECK_FALSE(a.locked());
    CHECK(b.locked());
    CHECK_FALSE(gb);
}

TEST_CASE("a mutex, an event, a semaphore, a queue, a future and a handle that another loop uses are refused with a sentence") {
    event_loop first;
    event_loop second;
    mutex m;
    event e;
    semaphore s(0);
    queue<int> q(1);
    promise<int> p;
    const auto f = p.get_future();
    mutex_guard held;
    auto waiter = first.spawn([&]() -> task<> {
        held = co_await m.lock();
        auto locking = spawn([&]() -> task<> { auto own = co_await m.lock(); });
        auto acquiring = spawn([&]() -> task<> { auto own = co_await s.acquire(); });
        auto popping = spawn([&]() -> task<> { static_cast<void>(co_await q.pop()); });
        auto awaiting = spawn([&]() -> task<> { static_cast<void>(co_await f); });
        co_await e.wait();
    });
    first.poll();
    const auto refused = [&](auto op) {
        return second.run_until_complete([](auto o) -> task<std::string> {
            co_return co_await words::ending(wait_for(std::move(o), 1ms));
        }(std::move(op)));
    };
    CHECK(refused(m.lock()).find("another loop") != std::string::npos);
    CHECK(refused(e.wait()).find("another loop") != std::string::npos);
    CHECK(refused(s.acquire()).find("another loop") != std::string::npos);
    CHECK(refused(q.pop()).find("another loop") != std::string::npos);
    CHECK(refused(waiter.join()).find("another loop") != std::string::npos);
    const std::string foreign_future = second.run_until_complete(
        [](future<int> o) -> task<std::string> { co_return co_await words::ending(wait_for(o, 1ms)); }(f));
    CHECK(foreign_future.find("another loop") != std::string::npos);
    held = {};
    s.release();
    CHECK(q.try_push(1));
    p.set_value(1);
    e.set();
    first.poll();
    CHECK(waiter.done());
    CHECK(first.all_tasks().empty());
}
