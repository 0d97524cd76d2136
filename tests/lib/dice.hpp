// Chance for tests that play at random, repeatable by EDDY_SHUFFLE_SEED.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>

class dice {
public:
    dice() : generator_(seed()) {}
    /// 0 … n-1.
    int operator()(int n) { return std::uniform_int_distribution<int>(0, n - 1)(generator_); }
    std::chrono::milliseconds time(int most) { return std::chrono::milliseconds((*this)(most)); }
    template <class C>
    void shuffle(C& c) {
        std::shuffle(c.begin(), c.end(), generator_);
    }

private:
    static unsigned seed() {
        const char* const e = std::getenv("EDDY_SHUFFLE_SEED");
        return e && *e ? static_cast<unsigned>(std::strtoul(e, nullptr, 10)) : 1u;
    }
    std::mt19937 generator_;
};
