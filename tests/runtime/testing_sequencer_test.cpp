#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <string>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<> note(testing::sequencer& seq, std::string& log, int first, int second) {
    {
        auto turn = co_await seq(first);
        co_await this_task::yield();
        log += std::to_string(first);
    }
    auto turn = co_await seq(second);
    log += std::to_string(second);
}

} // namespace

EDDY_TEST("a sequencer forces an order on the steps of several tasks") {
    testing::sequencer seq;
    std::string log;
    co_await gather(note(seq, log, 4, 5), note(seq, log, 1, 3), note(seq, log, 0, 2));
    CHECK(log == "012345");
}

EDDY_TEST("a sequencer whose order cannot be kept says so") {
    testing::sequencer seq;
    auto waits = [&](int n) -> task<> { auto turn = co_await seq(n); };
    auto one = spawn(waits, 1);
    auto two = spawn(waits, 2);
    co_await testing::settle();
    co_await one.cancel_and_join();
    CHECK(one.cancelled());
    const auto second = co_await as_result(two);
    CHECK(words::of(second) == "sequencer: step 2 cannot come: a task that waited for its step was cancelled");
    const auto twice = co_await as_result(waits(2));
    CHECK(words::of(twice) == "sequencer: step 2 was asked for twice");
}

EDDY_TEST("a step that is granted and cancelled in one tick breaks the sequence off, it does not hang", "[fifo]") {
    testing::sequencer seq;
    task_handle<> second;
    std::string log;
    auto first = spawn([&]() -> task<> {
        auto turn = co_await seq(0);
        co_await testing::settle();
        this_loop().call_soon([&] { second.cancel(); });
    });
    second = spawn([&]() -> task<> {
        auto turn = co_await seq(1);
        log += "not reached";
    });
    auto third = spawn([&]() -> task<> { auto turn = co_await seq(2); });
    co_await first;
    co_await second.join();
    co_await third.join();
    CHECK(second.cancelled());
    CHECK(third.exception() != nullptr);
    CHECK(log.empty());
}
