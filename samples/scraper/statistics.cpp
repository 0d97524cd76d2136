#include "statistics.hpp"

#include <algorithm>
#include <cmath>

namespace scraper {

void statistics::add(const page_record& r) {
    ++pages;
    bytes += r.bytes;
    if (r.error) ++errors[r.error->kind];
    if (r.status == 0) {
        ++unanswered;
    } else {
        ++by_status[r.status];
        latencies.push_back(r.elapsed);
    }
}

std::size_t statistics::error_count() const {
    std::size_t sum = 0;
    for (const auto& [kind, n] : errors) sum += n;
    return sum;
}

std::chrono::microseconds percentile(std::vector<std::chrono::microseconds>& samples, double p) {
    if (samples.empty()) return {};
    const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(samples.size())));
    const auto nth =
        samples.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank, 1, samples.size()) - 1);
    std::nth_element(samples.begin(), nth, samples.end());
    return *nth;
}

} // namespace scraper
