#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <string>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> wait_and_note(event& e, std::string& log, const char* name) {
    co_await e.wait();
    log += name;
    log += e.is_set() ? "(set) " : "(clear) ";
}

} // namespace

EDDY_TEST("E-01 set releases every waiter, first come first", "[fifo]") {
    event e;
    std::string log;
    for (const char* name : {"a", "b", "c"}) spawn(wait_and_note(e, log, name));
    co_await testing::settle();
    CHECK(e.waiting() == 3);
    e.set();
    CHECK(log == "");
    co_await testing::settle();
    CHECK(log == "a(set) b(set) c(set) ");
}

EDDY_TEST("E-02 waiters are released although clear follows at once, and see it cleared") {
    event e;
    std::string log;
    auto h = spawn(wait_and_note(e, log, "a"));
    co_await testing::settle();
    e.set();
    e.clear();
    co_await h;
    CHECK(log == "a(clear) ");
    CHECK_FALSE(e.is_set());
}

EDDY_TEST("E-03 set, clear, set, set releases a waiter once") {
    event e;
    std::string log;
    auto h = spawn(wait_and_note(e, log, "a"));
    co_await testing::settle();
    e.set();
    e.clear();
    e.set();
    e.set();
    co_await h;
    CHECK(log == "a(set) ");
    CHECK(e.waiting() == 0);
}

EDDY_TEST("E-04 cancelled in the tick of set, a waiter returns and its next checkpoint throws") {
    event e;
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await e.wait();
        log += "released ";
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    e.set();
    h.cancel();
    co_await h.join();
    CHECK(log == "released ");
    CHECK(h.cancelled());
}

EDDY_TEST("cancelled before set, a waiter leaves no entry behind") {
    event e;
    auto h = spawn(e.wait());
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(e.waiting() == 0);
    e.set();
}

EDDY_TEST("waiting for an event that is set takes no tick") {
    event e;
    e.set();
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    co_await e.wait();
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
}
