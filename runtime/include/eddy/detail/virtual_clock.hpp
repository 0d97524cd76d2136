// Time for tests: stands still while anything can run, then jumps to the next deadline. Used through <eddy/testing.hpp>.
#pragma once

#include <chrono>

#include <eddy/detail/function.hpp>
#include <eddy/detail/ready_list.hpp>
#include <eddy/loop_clock.hpp>

namespace eddy::detail {

class virtual_clock {
public:
    loop_clock::time_point now{std::chrono::hours(1)};
    bool autojump = true;
    /// Called when nothing can ever run again: no ready task, no timer, no pool job, and the kernel is silent.
    unique_function<void()> on_deadlock;
    /// Waiters of `testing::settle`, made ready when nothing can run without time passing.
    ready_list settlers;
    /// How long the kernel has to be silent, in real time, before time may pass.
    std::chrono::nanoseconds silence = std::chrono::milliseconds(2);
    /// How long before a silent kernel without timers counts as a deadlock.
    std::chrono::nanoseconds patience = std::chrono::seconds(2);
};

} // namespace eddy::detail
