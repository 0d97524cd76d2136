// Numbers over the last minutes: how many in each second, and how long things took.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>

#include <eddy/jobs/json.hpp>

namespace jobs_dashboard {

inline constexpr std::size_t seconds_shown = 300;

/// How many there were in each of the last `seconds_shown` seconds.
class per_second {
public:
    void add(double now);
    /// The oldest first; the last one is the second before `now`: that of `now` is not over.
    [[nodiscard]] eddy::jobs::json counts(double now) const;
    /// Of the last `seconds` whole seconds.
    [[nodiscard]] std::uint64_t sum(double now, std::size_t seconds) const;

private:
    [[nodiscard]] std::uint32_t at(std::int64_t second) const;
    struct bucket {
        std::int64_t second = -1;
        std::uint32_t count = 0;
    };
    std::array<bucket, seconds_shown + 1> buckets_{};
};

/// The last thousand durations of the last `seconds_shown` seconds.
class durations {
public:
    void add(double now, double seconds);
    /// {"count", "p50", "p95", "max"}, in seconds.
    [[nodiscard]] eddy::jobs::json summary(double now) const;

private:
    struct sample {
        double at;
        double seconds;
    };
    std::deque<sample> samples_;
};

} // namespace jobs_dashboard
