// What the programs about files share: which reads they do, and the rows that are printed.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace bench {

constexpr std::uint64_t file_size = std::uint64_t{1} << 30;
constexpr std::size_t chunk = 65536; // one after the other, all of the file
constexpr std::size_t chunks = file_size / chunk;
constexpr std::size_t block = 4096; // here and there
constexpr std::size_t depth = 32;   // so many at a time
constexpr std::size_t reads = 200'000;

/// Where the random reads are, the same for each program.
class offsets {
public:
    [[nodiscard]] std::uint64_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ % (file_size / block) * block;
    }

private:
    std::uint64_t state_ = 88172645463325252U;
};

/// A short read is the end of the program: the file is not as large as it should be.
inline void require_read(long long got, std::size_t wanted) {
    if (got == static_cast<long long>(wanted)) return;
    std::fprintf(stderr, "a read gave %lld bytes of %zu: the file has to have %llu\n", got, wanted, static_cast<unsigned long long>(file_size));
    std::exit(1);
}

/// Time and CPU of all threads from here to `sequential_done` or `random_done`, which print their two rows.
class file_rows {
public:
    void sequential_done() const { std::printf("seq %.0f\nseqcpu %.2f\n", static_cast<double>(file_size) / 1e6 / seconds(), cpu() / chunks); }
    void random_done() const { std::printf("rand %.0f\nrandcpu %.2f\n", reads / seconds(), cpu() / reads); }

private:
    static double cpu_microseconds() {
        rusage u{};
        ::getrusage(RUSAGE_SELF, &u);
        const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
        return us(u.ru_utime) + us(u.ru_stime);
    }
    [[nodiscard]] double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
    [[nodiscard]] double cpu() const { return cpu_microseconds() - cpu_; }

    double cpu_ = cpu_microseconds();
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

} // namespace bench
