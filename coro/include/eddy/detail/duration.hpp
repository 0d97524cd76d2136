// Durations as users write them, as the loop counts them.
#pragma once

#include <chrono>
#include <ratio>
#include <type_traits>

#include <eddy/errors.hpp>
#include <eddy/loop_clock.hpp>

namespace eddy::detail {

[[noreturn]] void throw_not_a_number();

/// Saturates; throws `std::invalid_argument` for NaN.
template <class Rep, class Period>
[[nodiscard]] constexpr std::chrono::nanoseconds to_nanoseconds(std::chrono::duration<Rep, Period> d) {
    using std::chrono::nanoseconds;
    if constexpr (std::is_floating_point_v<Rep>) {
        if (d.count() != d.count()) throw_not_a_number();
    }
    using seconds = std::chrono::duration<long double>;
    constexpr seconds most = std::chrono::hours(24 * 365 * 250);
    if (seconds(d) > most) return nanoseconds::max();
    if (seconds(d) < -most) return nanoseconds::min();
    return std::chrono::duration_cast<nanoseconds>(d);
}

/// `now + d` without overflow, also where `now` lies before the clock's epoch; at or before `now` for d <= 0.
[[nodiscard]] inline loop_clock::time_point after(loop_clock::time_point now, std::chrono::nanoseconds d) noexcept {
    if (d.count() > 0 && now > loop_clock::time_point::max() - d) return loop_clock::time_point::max();
    if (d.count() < 0 && now < loop_clock::time_point::min() - d) return loop_clock::time_point::min();
    return now + d;
}

} // namespace eddy::detail
