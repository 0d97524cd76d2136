#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <functional>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("T-21 inside a plain callback there is no current task") {
    bool none = false;
    std::string name = "?";
    this_loop().call_soon([&] {
        none = !this_task::handle();
        name = this_task::name();
    });
    co_await this_task::yield();
    co_await testing::settle();
    CHECK(none);
    CHECK(name == "");
    CHECK(this_task::name() == "main");
}

TEST_CASE("outside a loop there is no current task") {
    CHECK_FALSE(this_task::handle());
    CHECK(this_task::name() == "");
    CHECK_FALSE(this_task::cancel_requested());
    CHECK_FALSE(this_task::effective_deadline());
}

EDDY_TEST("T-22 two tasks that play ping-pong always see themselves") {
    std::vector<promise<>> pings(10);
    std::vector<promise<>> pongs(10);
    int right = 0;
    auto player = [&](std::vector<promise<>>& mine, std::vector<promise<>>& theirs, bool serves) -> task<> {
        const any_task me = this_task::handle();
        for (std::size_t i = 0; i < mine.size(); ++i) {
            if (serves) theirs[i].set_value();
            right += this_task::handle() == me ? 1 : 0;
            co_await mine[i].get_future();
            right += this_task::handle() == me ? 1 : 0;
            if (!serves) theirs[i].set_value();
        }
    };
    auto a = spawn(player, std::ref(pings), std::ref(pongs), true);
    auto b = spawn(player, std::ref(pongs), std::ref(pings), false);
    co_await a;
    co_await b;
    CHECK(right == 40);
}

EDDY_TEST("yield takes exactly one trip: everybody who was ready goes first", "[fifo]") {
    std::string log;
    spawn([&]() -> task<> {
        log += "a1 ";
        co_await this_task::yield();
        log += "a2 ";
    });
    spawn([&]() -> task<> {
        log += "b1 ";
        co_await this_task::yield();
        log += "b2 ";
    });
    co_await this_task::yield();
    log += "main1 ";
    co_await this_task::yield();
    log += "main2 ";
    CHECK(log == "a1 b1 main1 a2 b2 main2 ");
}

EDDY_TEST("R12 a ready leaf lets others run after at most 128 awaits, and takes nothing before it does", "[fifo]") {
    std::string log;
    int taken = 0;
    event e;
    e.set();
    co_await this_task::yield(); // a fresh budget
    this_loop().call_soon([&] { log += std::to_string(taken); });
    for (; taken < 1000 && log.empty(); ++taken) co_await e.wait();
    CHECK(log == "128");
}

EDDY_TEST("a checkpoint goes on at once, and throws in a cancelled scope", "[fifo]") {
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    co_await this_task::checkpoint();
    log += "checked ";
    CHECK_FALSE(this_task::cancel_requested());
    co_await with_scope([&](cancel_scope& s) -> task<> {
        s.cancel("why");
        CHECK(this_task::cancel_requested());
        try {
            co_await this_task::checkpoint();
            log += "not reached";
        } catch (const operation_cancelled& c) {
            log += c.reason();
            throw;
        }
    });
    CHECK(log == "checked tick why");
    CHECK_FALSE(this_task::cancel_requested());
}

EDDY_TEST("C-32 the effective deadline is the earliest around, up to the first shield") {
    const auto now = loop_clock::now();
    CHECK_FALSE(this_task::effective_deadline());
    co_await with_timeout(5s, [&](cancel_scope&) -> task<> {
        CHECK(this_task::effective_deadline() == now + 5s);
        co_await with_timeout(10s, [&](cancel_scope&) -> task<> {
            CHECK(this_task::effective_deadline() == now + 5s);
            co_await with_shield([&]() -> task<> {
                CHECK_FALSE(this_task::effective_deadline());
                co_await with_timeout(20s, [&](cancel_scope&) -> task<> {
                    CHECK(this_task::effective_deadline() == now + 20s);
                    co_return;
                });
            });
            co_await with_shield(7s, [&](cancel_scope&) -> task<> {
                CHECK(this_task::effective_deadline() == now + 7s);
                co_return;
            });
        });
    });
    CHECK_FALSE(this_task::effective_deadline());
}
