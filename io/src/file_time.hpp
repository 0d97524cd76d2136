// Times of files, between what the kernel has and what programs count with.
#pragma once

#include <chrono>
#include <ctime>

namespace eddy::detail {

[[nodiscard]] inline std::chrono::system_clock::time_point time_of(const timespec& t) noexcept {
    using std::chrono::system_clock;
    const auto since = std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
    return system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(since));
}

[[nodiscard]] inline timespec timespec_of(std::chrono::system_clock::time_point t) noexcept {
    const auto whole = std::chrono::floor<std::chrono::seconds>(t); // also before 1970 the rest is positive
    timespec s{};
    s.tv_sec = static_cast<std::time_t>(whole.time_since_epoch().count());
    s.tv_nsec = static_cast<long>(std::chrono::duration_cast<std::chrono::nanoseconds>(t - whole).count());
    return s;
}

} // namespace eddy::detail
