#include <eddy/coro.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> meet_and_note(barrier& b, std::string& log) {
    try {
        log += std::to_string(co_await b.wait()) + " ";
    } catch (const broken_barrier&) {
        log += "broken ";
    }
}

} // namespace

EDDY_TEST("B-01 three parties get 0, 1, 2; the last to arrive goes on first", "[fifo]") {
    barrier b{3};
    std::string log;
    for (int i = 0; i < 3; ++i) spawn(meet_and_note(b, log));
    co_await testing::settle();
    CHECK(log == "2 0 1 ");
    CHECK(b.waiting() == 0);
    CHECK(b.parties() == 3);
}

EDDY_TEST("B-01 round after round, each party has a number of its own") {
    barrier b{3};
    std::vector<std::string> rounds(50);
    auto party = [&]() -> task<> {
        for (std::string& round : rounds) round += std::to_string(co_await b.wait());
    };
    std::vector<task_handle<>> parties;
    for (int i = 0; i < 3; ++i) parties.push_back(spawn(party));
    for (auto& p : parties) co_await p;
    for (std::string& round : rounds) {
        std::sort(round.begin(), round.end());
        CHECK(round == "012");
    }
}

EDDY_TEST("the last party takes no tick") {
    barrier b{1};
    std::string log;
    this_loop().call_soon([&] { log += "tick "; });
    const std::size_t index = co_await b.wait();
    log += std::to_string(index) + " ";
    co_await testing::settle();
    CHECK(log == "0 tick ");
}

EDDY_TEST("B-02 a waiting party that is cancelled leaves the barrier whole, and another takes its place") {
    barrier b{3};
    std::string log;
    auto first = spawn(meet_and_note(b, log));
    auto second = spawn(meet_and_note(b, log));
    co_await testing::settle();
    CHECK(b.waiting() == 2);
    co_await first.cancel_and_join();
    CHECK(b.waiting() == 1);
    CHECK_FALSE(b.broken());
    auto third = spawn(meet_and_note(b, log));
    co_await testing::settle();
    CHECK(log == "");
    const std::size_t index = co_await b.wait();
    CHECK(index == 2);
    co_await second;
    co_await third;
    CHECK((log == "0 1 " || log == "1 0 "));
}

EDDY_TEST("B-02 a party that times out leaves the barrier whole") {
    barrier b{2};
    const auto end = co_await as_result(wait_for(b.wait(), 1s));
    CHECK(words::holds<timeout_error>(end.exception()));
    CHECK(b.waiting() == 0);
    CHECK_FALSE(b.broken());
}

EDDY_TEST("a party released and cancelled in one tick has its number; the next checkpoint throws") {
    barrier b{2};
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await meet_and_note(b, log);
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    const std::size_t index = co_await b.wait();
    h.cancel();
    co_await h.join();
    CHECK(index == 1);
    CHECK(log == "0 ");
    CHECK(h.cancelled());
}

EDDY_TEST("B-03 reset breaks those who wait; the barrier is usable again, and who was released is not affected") {
    barrier b{3};
    std::string log;
    auto a = spawn(meet_and_note(b, log));
    auto c = spawn(meet_and_note(b, log));
    co_await testing::settle();
    b.reset();
    CHECK_FALSE(b.broken());
    CHECK(b.waiting() == 0);
    co_await a;
    co_await c;
    CHECK(log == "broken broken ");
    log.clear();
    auto d = spawn(meet_and_note(b, log));
    auto e = spawn(meet_and_note(b, log));
    co_await testing::settle();
    const std::size_t index = co_await b.wait();
    b.reset();
    co_await d;
    co_await e;
    CHECK(index == 2);
    CHECK((log == "0 1 " || log == "1 0 "));
}

EDDY_TEST("B-04 an aborted barrier refuses those who wait and those who come, until it is reset") {
    barrier b{2};
    std::string log;
    auto a = spawn(meet_and_note(b, log));
    co_await testing::settle();
    b.abort();
    CHECK(b.broken());
    co_await a;
    const auto later = co_await as_result(b.wait());
    CHECK(words::of(later) == "the barrier was aborted; reset() makes it usable again");
    CHECK(log == "broken ");
    b.reset();
    auto c = spawn(meet_and_note(b, log));
    co_await testing::settle();
    const std::size_t index = co_await b.wait();
    co_await c;
    CHECK(index == 1);
    CHECK(log == "broken 0 ");
}

EDDY_TEST("B-06 a barrier for less than one party is an invalid argument") {
    CHECK(words::of_call([] { barrier b(0); return 0; }) == "barrier: it needs at least one party (0)");
    CHECK(words::throws<std::invalid_argument>([] { barrier b(-1); return 0; }));
    co_return;
}

EDDY_TEST("a barrier can go before those who wait") {
    auto b = std::make_unique<barrier>(2);
    auto h = spawn(b->wait());
    co_await testing::settle();
    b.reset();
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
}
