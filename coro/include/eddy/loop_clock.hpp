// The clock of event loops: monotonic, in nanoseconds. On a loop with a virtual clock (tests) it is that clock.
#pragma once

#include <chrono>

namespace eddy {

/// `now()` reads the clock of the loop that runs on this thread, else the system's monotonic clock.
/// A `std::chrono` clock; the runtime layer implements it.
struct loop_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<loop_clock, duration>;
    static constexpr bool is_steady = true;

    [[nodiscard]] static time_point now() noexcept;
};

} // namespace eddy
