// Time for tests: stands still while anything can run, then jumps to the next deadline. Used through <eddy/testing.hpp>.
#pragma once

#include <chrono>

#include <eddy/detail/duration.hpp>
#include <eddy/detail/function.hpp>
#include <eddy/detail/ready_list.hpp>
#include <eddy/loop_clock.hpp>

namespace eddy::detail {

class virtual_clock {
public:
    loop_clock::time_point now{std::chrono::hours(1)};
    /// What the calendar says at `now`; goes on with it, and can be set. At first the start of 2026 (UTC).
    [[nodiscard]] std::chrono::system_clock::time_point wall() const noexcept {
        return std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(after(now, wall_offset).time_since_epoch()));
    }
    void set_wall(std::chrono::system_clock::time_point t) noexcept {
        wall_offset = t.time_since_epoch() - now.time_since_epoch();
    }
    std::chrono::nanoseconds wall_offset = std::chrono::seconds(1'767'225'600) - std::chrono::hours(1);
    bool autojump = true;
    /// Called when nothing can ever run again: no ready task, no timer, no pool job, and the kernel is silent.
    unique_function<void()> on_deadlock;
    /// Called, again and again, when a run has taken that long in real time: it may have no end.
    unique_function<void()> on_overtime;
    std::chrono::steady_clock::time_point overtime = std::chrono::steady_clock::time_point::max();
    /// Waiters of `testing::settle`, made ready when nothing can run without time passing.
    ready_list settlers;
    /// How long the kernel has to be silent, in real time, before time may pass.
    std::chrono::nanoseconds silence = std::chrono::milliseconds(2);
    /// How long before a silent kernel without timers counts as a deadlock.
    std::chrono::nanoseconds patience = std::chrono::seconds(2);
};

} // namespace eddy::detail
