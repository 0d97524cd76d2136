#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> write(shared_mutex& m, std::string& log, const char* name) {
    auto guard = co_await m.lock();
    log += std::string("W") + name + "( ";
    co_await sleep_for(1s);
    log += ") ";
}
task<> read(shared_mutex& m, std::string& log, const char* name) {
    auto guard = co_await m.lock_shared();
    log += std::string("r") + name + "( ";
    co_await sleep_for(1s);
    log += ") ";
}

} // namespace

EDDY_TEST("readers share, a writer is alone, and nobody overtakes", "[fifo]") {
    shared_mutex m;
    std::string log;
    spawn(read(m, log, "1"));
    spawn(read(m, log, "2"));
    spawn(write(m, log, "1"));
    spawn(read(m, log, "3"));
    spawn(read(m, log, "4"));
    spawn(write(m, log, "2"));
    spawn(write(m, log, "3"));
    spawn(read(m, log, "5"));
    co_await sleep_for(1h);
    CHECK(log == "r1( r2( ) ) W1( ) r3( r4( ) ) W2( ) W3( ) r5( ) ");
    CHECK_FALSE(m.locked());
    CHECK(m.readers() == 0);
}

EDDY_TEST("a writer that waits stops the readers that come after it") {
    shared_mutex m;
    std::string log;
    auto first = co_await m.lock_shared();
    CHECK(m.readers() == 1);
    auto writer = spawn(write(m, log, "1"));
    co_await testing::settle();
    CHECK(m.waiting() == 1);
    CHECK_FALSE(m.try_lock_shared().has_value());
    auto reader = spawn(read(m, log, "1"));
    co_await testing::settle();
    CHECK(log == "");
    first.unlock();
    CHECK(m.locked());
    co_await writer;
    co_await reader;
    CHECK(log == "W1( ) r1( ) ");
}

EDDY_TEST("locks that are free take no tick") {
    shared_mutex m;
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    {
        auto a = co_await m.lock_shared();
        auto b = co_await m.lock_shared();
        CHECK(m.readers() == 2);
        CHECK_FALSE(m.try_lock().has_value());
        CHECK(m.try_lock_shared().has_value());
    }
    {
        auto w = co_await m.lock();
        CHECK(m.locked());
        CHECK_FALSE(m.try_lock().has_value());
        CHECK_FALSE(m.try_lock_shared().has_value());
    }
    log += "a ";
    CHECK(m.try_lock().has_value());
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("what is released belongs to the next at once: nobody gets in between") {
    shared_mutex m;
    std::string log;
    auto w = co_await m.lock();
    auto reader = spawn(read(m, log, "1"));
    co_await testing::settle();
    w.unlock();
    CHECK(m.readers() == 1);
    CHECK_FALSE(m.try_lock().has_value());
    auto again = co_await m.lock();
    CHECK(log == "r1( ) ");
    co_await reader;
}

EDDY_TEST("a waiting writer that is cancelled lets the readers behind it go on") {
    shared_mutex m;
    std::string log;
    auto first = co_await m.lock_shared();
    auto writer = spawn(write(m, log, "1"));
    co_await testing::settle();
    auto reader = spawn(read(m, log, "1"));
    co_await testing::settle();
    CHECK(m.waiting() == 2);
    writer.cancel();
    CHECK(m.readers() == 2);
    co_await reader;
    co_await writer.join();
    CHECK(log == "r1( ) ");
    CHECK(m.waiting() == 0);
}

EDDY_TEST("a waiting writer that times out lets the readers behind it go on") {
    shared_mutex m;
    std::string log;
    auto first = co_await m.lock_shared();
    auto writer = spawn(wait_for(write(m, log, "1"), 1s));
    co_await testing::settle();
    auto reader = spawn(read(m, log, "1"));
    const auto end = co_await as_result(writer);
    CHECK(words::holds<timeout_error>(end.exception()));
    co_await reader;
    CHECK(log == "r1( ) ");
}

EDDY_TEST("a waiter that was granted a lock and cancelled in one tick passes it on by unwinding") {
    shared_mutex m;
    std::string log;
    auto w = co_await m.lock();
    auto granted = spawn([&]() -> task<> {
        auto own = co_await m.lock();
        log += "granted ";
        co_await this_task::checkpoint();
        log += "not reached ";
    });
    co_await testing::settle();
    auto reader = spawn(read(m, log, "1"));
    co_await testing::settle();
    w.unlock();
    granted.cancel();
    CHECK(m.locked());
    co_await reader;
    CHECK(log == "granted r1( ) ");
    CHECK(granted.cancelled());
}

EDDY_TEST("in a shield a cancelled reader waits on") {
    shared_mutex m;
    std::string log;
    auto w = co_await m.lock();
    auto h = spawn([&]() -> task<> { co_await shielded(read(m, log, "1")); });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK(m.waiting() == 1);
    w.unlock();
    co_await h.join();
    CHECK(log == "r1( ) ");
}

EDDY_TEST("guards move, unlock what they had when they are assigned, and refuse to unlock nothing") {
    shared_mutex a;
    shared_mutex b;
    {
        auto ga = co_await a.lock_shared();
        auto gb = co_await b.lock_shared();
        ga = std::move(gb);
        CHECK(ga.owner() == &b);
        CHECK_FALSE(gb.owns_lock());
        CHECK(a.readers() == 0);
        auto moved = std::move(ga);
        CHECK_FALSE(ga);
        CHECK(words::of_call([&] { ga.unlock(); return 0; }) == "shared_mutex_guard::unlock: the guard owns no lock");
    }
    CHECK(a.readers() == 0);
    CHECK(b.readers() == 0);
    shared_mutex::guard none;
    CHECK(words::throws<std::logic_error>([&] { none.unlock(); return 0; }));
}
