#include <eddy/detail/jitter.hpp>

#include <random>

namespace eddy::detail {
namespace {

std::uint64_t advance(std::uint64_t& state) noexcept {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

std::uint64_t fresh_seed() {
    thread_local std::uint64_t state = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
    return advance(state);
}

} // namespace

jitter_source::jitter_source(std::optional<std::uint64_t> seed) : state_(seed ? *seed : fresh_seed()) {}

double jitter_source::next() noexcept {
    constexpr double unit = 1.0 / 9007199254740992.0; // 2^-53: as many bits as a double keeps
    return static_cast<double>(advance(state_) >> 11) * unit;
}

} // namespace eddy::detail
