// The component testing: an hour of virtual time passes at once.
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <chrono>

using namespace std::chrono_literals;

EDDY_TEST("a sleep ends when its time has come") {
    auto before = eddy::loop_clock::now();
    co_await eddy::sleep_for(1h);
    auto slept = eddy::loop_clock::now() - before;
    CHECK(slept == 1h);
}
