#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> borrow(capacity_limiter& l, std::string& log, const char* name) {
    auto token = co_await l.acquire();
    log += name;
    co_await sleep_for(1s);
}

} // namespace

EDDY_TEST("CL-01 a task cannot borrow twice; on behalf of another object it can") {
    capacity_limiter l{3};
    const int other = 0;
    const std::string twice = "capacity_limiter: this borrower has a token already; release it before it takes another";
    auto token = co_await l.acquire();
    const std::string again = co_await words::ending(l.acquire());
    CHECK(again == twice);
    CHECK(words::of_call([&] { return l.try_acquire(); }) == twice);
    auto for_other = co_await l.acquire_on_behalf_of(&other);
    CHECK(l.borrowed() == 2);
    const std::string other_again = co_await words::ending(l.acquire_on_behalf_of(&other));
    CHECK(other_again == twice);
    CHECK(words::throws<std::logic_error>([&] { return l.try_acquire_on_behalf_of(&other); }));
    CHECK(l.borrowed() == 2);
    token.release();
    CHECK_FALSE(token);
    auto third = co_await l.acquire();
    CHECK(l.available() == 1);
}

EDDY_TEST("CL-01 an object that waits for a token cannot wait for another") {
    capacity_limiter l{1};
    const int object = 0;
    auto token = co_await l.acquire();
    auto waiting = spawn(l.acquire_on_behalf_of(&object));
    co_await testing::settle();
    const std::string again = co_await words::ending(l.acquire_on_behalf_of(&object));
    CHECK(again == "capacity_limiter: this borrower waits for a token already");
    token.release();
    co_await waiting;
    CHECK(l.borrowed() == 1);
}

EDDY_TEST("CL-02 a raised total wakes as many as fit; a lowered one revokes nothing and grants again only below", "[fifo]") {
    capacity_limiter l{1};
    std::string log;
    auto own = co_await l.acquire();
    for (const char* name : {"a ", "b ", "c "}) spawn(borrow(l, log, name));
    co_await testing::settle();
    CHECK(l.waiting() == 3);
    l.set_total(3);
    CHECK(l.borrowed() == 3);
    co_await testing::settle();
    CHECK(log == "a b ");
    l.set_total(1);
    CHECK(l.total() == 1);
    CHECK(l.borrowed() == 3);
    CHECK(l.available() == 0);
    own.release();
    CHECK(l.borrowed() == 2);
    co_await testing::settle();
    CHECK(log == "a b ");
    co_await sleep_for(1500ms);
    CHECK(log == "a b c ");
    co_await sleep_for(1s);
    CHECK(l.borrowed() == 0);
    CHECK(l.available() == 1);
}

EDDY_TEST("CL-03 with a total of 0 nobody passes, and a cancelled waiter leaves no trace") {
    capacity_limiter l{0};
    std::string log;
    CHECK_FALSE(l.try_acquire().has_value());
    auto cancelled = spawn(borrow(l, log, "a "));
    co_await testing::settle();
    CHECK(l.waiting() == 1);
    co_await cancelled.cancel_and_join();
    const auto late = co_await as_result(wait_for(l.acquire(), 1s));
    CHECK(words::holds<timeout_error>(late.exception()));
    CHECK(l.waiting() == 0);
    CHECK(l.borrowed() == 0);
    auto next = spawn(borrow(l, log, "b "));
    co_await testing::settle();
    l.set_total(1);
    co_await next;
    CHECK(log == "b ");
    l.set_total(0);
    CHECK_FALSE(l.try_acquire().has_value());
}

EDDY_TEST("a token that comes back belongs to the first waiter at once") {
    capacity_limiter l{1};
    std::string log;
    auto own = co_await l.acquire();
    auto waiter = spawn(borrow(l, log, "waiter "));
    co_await testing::settle();
    own.release();
    CHECK(l.borrowed() == 1);
    CHECK_FALSE(l.try_acquire().has_value());
    auto again = co_await l.acquire();
    CHECK(log == "waiter ");
    co_await waiter;
}

EDDY_TEST("a waiter that was granted a token and cancelled in one tick gives it to the next") {
    capacity_limiter l{1};
    std::string log;
    auto own = co_await l.acquire();
    auto first = spawn([&]() -> task<> {
        auto token = co_await l.acquire();
        log += "first ";
        co_await this_task::checkpoint();
        log += "not reached ";
    });
    co_await testing::settle();
    auto second = spawn(borrow(l, log, "second "));
    co_await testing::settle();
    own.release();
    first.cancel();
    co_await second;
    CHECK(log == "first second ");
    CHECK(first.cancelled());
    CHECK(l.available() == 1);
}

EDDY_TEST("in a shield a cancelled borrower waits on") {
    capacity_limiter l{1};
    std::string log;
    auto own = co_await l.acquire();
    auto h = spawn([&]() -> task<> { co_await shielded(borrow(l, log, "a ")); });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK(l.waiting() == 1);
    own.release();
    co_await h.join();
    CHECK(log == "a ");
}

EDDY_TEST("taking a free token takes no tick; tokens move and swap") {
    capacity_limiter l{2};
    const int a = 0;
    const int b = 0;
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    auto first = co_await l.acquire_on_behalf_of(&a);
    auto second = l.try_acquire_on_behalf_of(&b);
    log += "a ";
    CHECK(l.available() == 0);
    first = std::move(*second);
    second.reset();
    CHECK(l.borrowed() == 1);
    CHECK_FALSE(words::throws<std::logic_error>([&] { return l.try_acquire_on_behalf_of(&a); }));
    CHECK(words::throws<std::logic_error>([&] { return l.try_acquire_on_behalf_of(&b); }));
    limiter_token last = std::move(first);
    CHECK_FALSE(first);
    CHECK(last);
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("a negative total is an invalid argument; a task is needed to acquire for it") {
    CHECK(words::of_call([] { capacity_limiter l(-1); return 0; }) == "capacity_limiter: the total cannot be negative (-1)");
    capacity_limiter l{1};
    CHECK(words::throws<std::invalid_argument>([&] { l.set_total(-1); return 0; }));
    CHECK(l.total() == 1);
    std::string outside;
    this_loop().call_soon([&] { outside = words::of_call([&] { return l.try_acquire(); }); });
    co_await testing::settle();
    CHECK(outside == "capacity_limiter::try_acquire: no task runs here; use try_acquire_on_behalf_of");
}

EDDY_TEST("a limiter can go before those who wait") {
    auto l = std::make_unique<capacity_limiter>(0);
    auto h = spawn(l->acquire());
    co_await testing::settle();
    l.reset();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
}

EDDY_TEST("CL-01 a token taken by way of race belongs to the task that awaits the race; tasks in gather are borrowers of their own") {
    capacity_limiter l{2};
    auto won = co_await race(l.acquire(), sleep_for(1s));
    const std::string again = co_await words::ending(l.acquire());
    CHECK(again == "capacity_limiter: this borrower has a token already; release it before it takes another");
    won.get<0>()->release();
    std::string log;
    co_await gather(borrow(l, log, "a "), borrow(l, log, "b "));
    CHECK(log.size() == 4);
}
