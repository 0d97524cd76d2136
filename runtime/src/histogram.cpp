#include <eddy/histogram.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

namespace eddy {

std::uint64_t histogram::count() const noexcept {
    return std::accumulate(buckets_.begin(), buckets_.end(), std::uint64_t(0));
}

double histogram::mean() const noexcept {
    const std::uint64_t n = count();
    return n == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(n);
}

std::uint64_t histogram::quantile(double q) const {
    if (!(q >= 0 && q <= 1)) throw std::invalid_argument("histogram::quantile: a share is from 0 to 1");
    const std::uint64_t n = count();
    const double wanted = std::max(1.0, std::ceil(q * static_cast<double>(n)));
    double seen = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        seen += static_cast<double>(buckets_[i]);
        if (buckets_[i] == 0 || seen < wanted) continue;
        const std::uint64_t end = i == 0 ? 0 : i == 64 ? max_ : (std::uint64_t(1) << i) - 1;
        return std::min(end, max_);
    }
    return max_;
}

histogram histogram::since(const histogram& earlier) const noexcept {
    histogram h = *this;
    for (std::size_t i = 0; i < bucket_count; ++i) h.buckets_[i] -= earlier.buckets_[i];
    h.sum_ -= earlier.sum_;
    return h;
}

} // namespace eddy
