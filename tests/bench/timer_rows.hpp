// What the programs about timers share: a million deadlines within a second, the same for each, and the rows that are printed.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace bench {

constexpr int sleepers = 1'000'000;
constexpr std::chrono::milliseconds longest_sleep(1000);

/// How long each sleeps: whole microseconds up to a second, by xorshift from one seed.
class delays {
public:
    [[nodiscard]] std::chrono::microseconds next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return std::chrono::microseconds(state_ % 1'000'001);
    }

private:
    std::uint64_t state_ = 88172645463325252U;
};

/// One run: `start`, the sleepers are made, `all_asleep`, each tells `woke`, `print`.
class timer_rows {
public:
    using clock = std::chrono::steady_clock;

    timer_rows() : late_(sleepers, 1) { late_.clear(); } // resident before memory counts
    void start() {
        resident_ = resident_bytes();
        cpu_ = cpu_nanoseconds();
        start_ = clock::now();
    }
    void all_asleep() { asleep_bytes_ = resident_bytes() - resident_; }
    void woke(clock::time_point due) {
        late_.push_back(static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - due).count()));
    }
    [[nodiscard]] bool all_woke() const noexcept { return late_.size() == sleepers; }
    void print() {
        const auto over = std::chrono::duration<double, std::milli>(clock::now() - start_ - longest_sleep).count();
        const double cpu = (cpu_nanoseconds() - cpu_) / sleepers;
        std::sort(late_.begin(), late_.end());
        std::printf("over %.1f\ncpu %.0f\nmem %.0f\n", over, cpu, asleep_bytes_ / sleepers);
        std::printf("late %u %u\n", late_[sleepers / 2], late_[sleepers / 100 * 99]);
    }

private:
    static double cpu_nanoseconds() {
        rusage u{};
        ::getrusage(RUSAGE_SELF, &u);
        const auto ns = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3; };
        return ns(u.ru_utime) + ns(u.ru_stime);
    }
    static double resident_bytes() {
        long all = 0;
        long resident = 0;
        std::FILE* const f = std::fopen("/proc/self/statm", "r");
        if (!f || std::fscanf(f, "%ld %ld", &all, &resident) != 2) std::perror("/proc/self/statm");
        if (f) std::fclose(f);
        return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
    }

    std::vector<std::uint32_t> late_; // microseconds
    clock::time_point start_;
    double cpu_ = 0;
    double resident_ = 0;
    double asleep_bytes_ = 0;
};

/// Prints ns that `f` takes for each of as many timers as there are sleepers: `cancel` for setting all of them, then cancelling all.
template <class F>
void each_row(const char* name, F&& f) {
    const auto start = timer_rows::clock::now();
    f();
    std::printf("%s %.0f\n", name, std::chrono::duration<double, std::nano>(timer_rows::clock::now() - start).count() / sleepers);
}

} // namespace bench
