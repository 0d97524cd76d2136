// histogram: how often values of which size occurred, in buckets by powers of two. Cheap enough to be always on.
//
//     histogram h;
//     h.add(700);
//     h.quantile(0.99);          // at most this, to within a factor of two
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace eddy {

/// A fixed size, no allocation; a copy is a snapshot. Not thread-safe.
class histogram {
public:
    /// Bucket 0 has the zeros, bucket n the values from 2^(n-1) up to below 2^n.
    static constexpr std::size_t bucket_count = 65;

    void add(std::uint64_t value) noexcept {
        ++buckets_[static_cast<std::size_t>(std::bit_width(value))];
        sum_ += value;
        if (value > max_) max_ = value;
    }
    [[nodiscard]] std::uint64_t count() const noexcept;
    [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }
    [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
    /// 0 if there are none.
    [[nodiscard]] double mean() const noexcept;
    /// The smallest bound below which a share of at least `q` (0 to 1) of the values lies, to within a factor of two: the upper
    /// end of a bucket, or `max()`. 0 if there are none. Throws `std::invalid_argument` for other `q`.
    [[nodiscard]] std::uint64_t quantile(double q) const;
    [[nodiscard]] const std::array<std::uint64_t, bucket_count>& buckets() const noexcept { return buckets_; }
    /// What was added since `earlier`, a snapshot of this histogram; `max` stays that of the whole time.
    [[nodiscard]] histogram since(const histogram& earlier) const noexcept;

private:
    std::array<std::uint64_t, bucket_count> buckets_{};
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
};

} // namespace eddy
