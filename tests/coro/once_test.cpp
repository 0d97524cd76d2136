#include <eddy/once.hpp>
#include <eddy/testing.hpp>

#include <stdexcept>
#include <string>

#include <eddy/gather.hpp>
#include <eddy/sleep.hpp>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> counted(int& calls, std::chrono::nanoseconds d, bool fails = false) {
    const int n = ++calls;
    co_await sleep_for(d);
    if (fails) throw std::runtime_error("no value");
    co_return n;
}

} // namespace

EDDY_TEST("the value is made once, for all who ask meanwhile and later") {
    once<int> o;
    int calls = 0;
    const auto make = [&] { return counted(calls, 10ms); };
    CHECK(o.try_get() == nullptr);
    const auto both = co_await gather(o.get(make), o.get(make));
    CHECK(&std::get<0>(both).get() == &std::get<1>(both).get());
    const int& again = co_await o.get(make);
    CHECK(again == 1);
    CHECK(calls == 1);
    CHECK(o.try_get() == &again);
}

EDDY_TEST("one that fails or is cancelled leaves it to the next in the line") {
    once<int> o;
    int calls = 0;
    auto failing = spawn([&]() -> task<int> { co_return co_await o.get([&] { return counted(calls, 10ms, true); }); });
    co_await testing::settle();
    auto cancelled = spawn([&]() -> task<int> { co_return co_await o.get([&] { return counted(calls, 1h); }); });
    co_await testing::settle();
    auto third = spawn([&]() -> task<int> { co_return co_await o.get([&] { return counted(calls, 10ms); }); });
    co_await sleep_for(20ms);
    cancelled.cancel();
    const int v = co_await third;
    CHECK(v == 3);
    CHECK(failing.exception() != nullptr);
    CHECK(cancelled.cancelled());
}
