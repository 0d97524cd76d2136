#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> wait_and_note(latch& l, std::string& log, const char* name) {
    co_await l.wait();
    log += name;
}

} // namespace

EDDY_TEST("a latch releases its waiters in order when the count is 0", "[fifo]") {
    latch l{3};
    std::string log;
    for (const char* name : {"a ", "b ", "c "}) spawn(wait_and_note(l, log, name));
    co_await testing::settle();
    CHECK(l.waiting() == 3);
    l.count_down(2);
    co_await testing::settle();
    CHECK(log == "");
    CHECK_FALSE(l.try_wait());
    CHECK(l.count() == 1);
    l.count_down();
    CHECK(log == "");
    co_await testing::settle();
    CHECK(log == "a b c ");
    CHECK(l.try_wait());
}

EDDY_TEST("waiting on a latch at 0 takes no tick") {
    latch l{0};
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    co_await l.wait();
    log += "a ";
    co_await testing::settle();
    CHECK(log == "a tick ");
}

EDDY_TEST("arrive_and_wait counts itself and waits for the others") {
    latch l{3};
    int over = 0;
    auto arriving = [&](std::ptrdiff_t n) -> task<> {
        co_await l.arrive_and_wait(n);
        ++over;
    };
    auto first = spawn(arriving, 2);
    co_await testing::settle();
    CHECK(over == 0);
    CHECK(l.count() == 1);
    co_await l.arrive_and_wait();
    co_await first;
    CHECK(over == 1);
    CHECK(l.try_wait());
}

EDDY_TEST("an arrival stays counted when its wait is cancelled; cancelled on entry, nothing is counted") {
    latch l{3};
    auto h = spawn(l.arrive_and_wait());
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    CHECK(l.count() == 2);
    CHECK(l.waiting() == 0);
    auto unstarted = spawn(l.arrive_and_wait());
    unstarted.cancel();
    co_await unstarted.join();
    CHECK(unstarted.cancelled());
    CHECK(l.count() == 2);
}

EDDY_TEST("counting down too far or upwards is an error and changes nothing") {
    latch l{1};
    CHECK(words::of_call([&] { l.count_down(2); return 0; }) == "latch::count_down: more was counted down than was left");
    CHECK(words::throws<std::logic_error>([&] { l.count_down(-1); return 0; }));
    const auto arrival = co_await as_result(l.arrive_and_wait(2));
    CHECK(words::holds<std::logic_error>(arrival.exception()));
    CHECK(l.count() == 1);
    CHECK(words::of_call([] { latch bad(-1); return 0; }) == "latch: the count cannot be negative (-1)");
}

EDDY_TEST("a waiter released and cancelled in one tick returns; one that times out leaves no entry") {
    latch l{1};
    const auto late = co_await as_result(wait_for(l.wait(), 1s));
    CHECK(words::holds<timeout_error>(late.exception()));
    CHECK(l.waiting() == 0);
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await wait_and_note(l, log, "released ");
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    l.count_down();
    h.cancel();
    co_await h.join();
    CHECK(log == "released ");
    CHECK(h.cancelled());
}

EDDY_TEST("in a shield a cancelled waiter waits on; a latch can go before those who wait") {
    auto l = std::make_unique<latch>(1);
    std::string log;
    auto h = spawn([&]() -> task<> { co_await shielded(wait_and_note(*l, log, "released ")); });
    co_await testing::settle();
    h.cancel();
    co_await testing::settle();
    CHECK_FALSE(h.done());
    l->count_down();
    co_await h.join();
    CHECK(log == "released ");
    l = std::make_unique<latch>(1);
    auto left = spawn(l->wait());
    co_await testing::settle();
    l.reset();
    co_await left.cancel_and_join();
    CHECK(left.cancelled());
}
