// What the programs that hand an empty function to a worker have in common: how much, and what they print.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <vector>

namespace bench {

using clock_type = std::chrono::steady_clock;

constexpr int rounds = 20'000;     // one after another
constexpr int cold_rounds = 500;   // each after a pause, in which everybody has fallen asleep
constexpr auto rest_between = std::chrono::milliseconds(2);
constexpr int outstanding = 1000;
constexpr int calls = 300'000;     // so many at a time
constexpr int ticks = 2000;        // of a millisecond, beside two busy workers

inline std::vector<double> samples; // microseconds

inline double microseconds(clock_type::duration d) {
    return std::chrono::duration<double, std::micro>(d).count();
}
inline double cpu_microseconds() {
    rusage u{};
    ::getrusage(RUSAGE_SELF, &u);
    const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
    return us(u.ru_utime) + us(u.ru_stime);
}
inline void burn() {
    for (const auto end = clock_type::now() + std::chrono::milliseconds(2); clock_type::now() < end;) {}
}

/// `NAME P50 P99 MAX` of the samples, which are gone then.
inline void samples_row(const char* name) {
    std::sort(samples.begin(), samples.end());
    const auto at = [](double q) { return samples[static_cast<std::size_t>(static_cast<double>(samples.size() - 1) * q)]; };
    std::printf("%s %.2f %.2f %.2f\n", name, at(.5), at(.99), at(1));
    std::fflush(stdout);
    samples.clear();
}
/// Since `start`, when the process had used `cpu`: calls a second, and what each took.
inline void flow_row(clock_type::time_point start, double cpu) {
    std::printf("flow %.0f\ncpu %.3f\n", calls / (microseconds(clock_type::now() - start) / 1e6), (cpu_microseconds() - cpu) / calls);
    std::fflush(stdout);
}

} // namespace bench
