#include "series.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace jobs_dashboard {

namespace {

using eddy::jobs::json;

constexpr std::size_t most_samples = 1000;

std::int64_t second_of(double now) {
    return static_cast<std::int64_t>(std::floor(now));
}

} // namespace

void per_second::add(double now) {
    const std::int64_t second = second_of(now);
    bucket& b = buckets_[static_cast<std::size_t>(second) % buckets_.size()];
    if (b.second != second) b = {second, 0};
    ++b.count;
}

std::uint32_t per_second::at(std::int64_t second) const {
    const bucket& b = buckets_[static_cast<std::size_t>(second) % buckets_.size()];
    return b.second == second ? b.count : 0;
}

json per_second::counts(double now) const {
    json all = json::array();
    const std::int64_t end = second_of(now);
    for (std::int64_t s = end - static_cast<std::int64_t>(seconds_shown); s < end; ++s) all.push_back(at(s));
    return all;
}

std::uint64_t per_second::sum(double now, std::size_t seconds) const {
    std::uint64_t n = 0;
    const std::int64_t end = second_of(now);
    for (std::int64_t s = end - static_cast<std::int64_t>(std::min(seconds, seconds_shown)); s < end; ++s) n += at(s);
    return n;
}

void durations::add(double now, double seconds) {
    if (!std::isfinite(seconds)) return;
    samples_.push_back({now, std::max(0.0, seconds)});
    if (samples_.size() > most_samples) samples_.pop_front();
}

json durations::summary(double now) const {
    std::vector<double> all;
    for (const sample& s : samples_)
        if (s.at > now - static_cast<double>(seconds_shown)) all.push_back(s.seconds);
    if (all.empty()) return {{"count", 0}};
    std::ranges::sort(all);
    const auto part = [&](double q) { return all[static_cast<std::size_t>(std::ceil(q * static_cast<double>(all.size()))) - 1]; };
    return {{"count", all.size()}, {"p50", part(0.5)}, {"p95", part(0.95)}, {"max", all.back()}};
}

} // namespace jobs_dashboard
