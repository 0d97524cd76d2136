// Medians of repeated runs, and a count of heap blocks.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace bench {

/// Heap blocks that this program has asked for; counted by a replaced `operator new` where COUNT_ALLOCATIONS is used.
inline std::uint64_t allocations = 0;

/// Runs `f` five times; prints `NAME NS ALLOCATIONS`, each for one of the `units` that `f` does.
template <class F>
void row(const char* name, double units, F&& f) {
    std::vector<double> times;
    std::uint64_t blocks = 0;
    for (int i = 0; i < 5; ++i) {
        const std::uint64_t before = allocations;
        const auto start = std::chrono::steady_clock::now();
        f();
        times.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
        blocks = allocations - before;
    }
    std::sort(times.begin(), times.end());
    std::printf("%s %.1f %.2f\n", name, times[2] / units, static_cast<double>(blocks) / units);
    std::fflush(stdout);
}

} // namespace bench
