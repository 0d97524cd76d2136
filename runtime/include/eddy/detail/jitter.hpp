// A small generator of pseudo-random fractions, for delays that must not fall together.
#pragma once

#include <cstdint>
#include <optional>

namespace eddy::detail {

/// SplitMix64: eight bytes of state, so that it can live in any frame; the same seed gives the same fractions
/// everywhere.
class jitter_source {
public:
    /// Without a seed: one that differs from call to call and from process to process.
    explicit jitter_source(std::optional<std::uint64_t> seed);
    /// Uniform in [0, 1).
    [[nodiscard]] double next() noexcept;

private:
    std::uint64_t state_;
};

} // namespace eddy::detail
