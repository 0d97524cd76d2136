#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>

#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("SE-01 of three permits a third taker goes at once, two more queue, two releases wake them in order", "[fifo]") {
    semaphore s(3);
    std::string log;
    auto p1 = co_await s.acquire();
    auto p2 = co_await s.acquire();
    auto taker = [&](const char* name) -> task<> {
        auto p = co_await s.acquire();
        log += name;
        co_await sleep_for(1h);
    };
    for (const char* name : {"3 ", "4 ", "5 "}) spawn(taker, name);
    co_await testing::settle();
    CHECK(log == "3 ");
    CHECK(s.locked());
    p1.release();
    p2.release();
    co_await testing::settle();
    CHECK(log == "3 4 5 ");
    CHECK(s.available() == 0);
    co_await sleep_for(2h);
    CHECK(s.available() == 3);
}

EDDY_TEST("SE-02 a waiter goes before the releaser who acquires again; the semaphore is locked in between") {
    semaphore s(1);
    std::string log;
    auto p = co_await s.acquire();
    auto waiter = spawn([&]() -> task<> {
        auto own = co_await s.acquire();
        log += "waiter ";
    });
    co_await testing::settle();
    p.release();
    CHECK(s.locked());
    CHECK_FALSE(s.try_acquire().has_value());
    auto again = co_await s.acquire();
    log += "releaser";
    CHECK(log == "waiter releaser");
    co_await waiter;
}

EDDY_TEST("SE-03 a waiter granted and cancelled in one tick gives its permit to the next; the count ends where it began") {
    semaphore s(1);
    std::string log;
    auto p = co_await s.acquire();
    auto taker = [&](const char* name) -> task<> {
        auto own = co_await s.acquire();
        co_await this_task::checkpoint();
        log += name;
    };
    auto first = spawn(taker, "first ");
    co_await testing::settle();
    auto second = spawn(taker, "second ");
    co_await testing::settle();
    p.release();
    first.cancel();
    co_await second;
    CHECK(log == "second ");
    CHECK(first.cancelled());
    CHECK(s.available() == 1);
}

EDDY_TEST("SE-05 three tasks that take turns on one permit keep their turns", "[fifo]") {
    semaphore s(1);
    std::string log;
    auto taker = [&](const char* name) -> task<> {
        for (int i = 0; i < 2; ++i) {
            auto p = co_await s.acquire();
            log += name;
            co_await sleep_for(1ms);
        }
    };
    for (const char* name : {"c1 ", "c2 ", "c3 "}) spawn(taker, name);
    co_await sleep_for(1s);
    CHECK(log == "c1 c2 c3 c1 c2 c3 ");
}

EDDY_TEST("SE-07 a negative start is an invalid argument; only a bounded semaphore refuses more permits") {
    CHECK(words::of_call([] { semaphore s(-1); return 0; }) == "semaphore: the number of permits cannot be negative (-1)");
    CHECK(words::throws<std::invalid_argument>([] { semaphore s(3, 2); return 0; }));
    semaphore bounded(1, 1);
    CHECK(words::of_call([&] { bounded.release(); return 0; }) ==
          "semaphore::release: more permits were released than the bound allows");
    semaphore open(0);
    open.release();
    open.release();
    CHECK(open.available() == 2);
    co_return;
}

EDDY_TEST("a permit that is detached is given back by release") {
    semaphore s(1);
    {
        auto p = co_await s.acquire();
        CHECK(p);
        p.detach();
        CHECK_FALSE(p);
    }
    CHECK(s.locked());
    s.release();
    CHECK(s.available() == 1);
    auto q = s.try_acquire();
    CHECK(q.has_value());
    auto moved = std::move(*q);
    q.reset();
    CHECK(s.locked());
}

EDDY_TEST("acquiring a free permit takes no tick") {
    semaphore s(1);
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    auto p = co_await s.acquire();
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("SE-07 permits that are out count against the bound, detached ones do not") {
    semaphore s(1, 1);
    {
        auto p = co_await s.acquire();
        CHECK(words::throws<std::logic_error>([&] { s.release(); return 0; }));
        p.detach();
        s.release();
    }
    CHECK(s.available() == 1);
    CHECK(words::throws<std::logic_error>([&] { s.release(); return 0; }));
}

EDDY_TEST("a permit that is assigned over is given back") {
    semaphore s(2);
    auto a = co_await s.acquire();
    auto b = co_await s.acquire();
    a = std::move(b);
    CHECK(s.available() == 1);
    CHECK_FALSE(b);
}
