// The same work as bench_offload on Asio: a thread_pool for the function, post back to the io_context.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

namespace {

using clock_type = std::chrono::steady_clock;
constexpr int rounds = 20'000;
constexpr int outstanding = 1000;
constexpr int calls = 300'000;

double microseconds(clock_type::duration d) {
    return std::chrono::duration<double, std::micro>(d).count();
}
double cpu_microseconds() {
    rusage u{};
    ::getrusage(RUSAGE_SELF, &u);
    const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
    return us(u.ru_utime) + us(u.ru_stime);
}

template <class Done>
void call(asio::io_context& io, asio::thread_pool& pool, Done done) {
    asio::post(pool, [&io, done] { asio::post(io, done); });
}

void sequential(asio::io_context& io, asio::thread_pool& pool) {
    std::vector<double> samples;
    clock_type::time_point start;
    auto guard = asio::make_work_guard(io);
    std::function<void()> next = [&] {
        samples.push_back(microseconds(clock_type::now() - start));
        if (samples.size() == rounds) return guard.reset();
        start = clock_type::now();
        call(io, pool, [&next] { next(); });
    };
    start = clock_type::now();
    call(io, pool, [&next] { next(); });
    io.run();
    std::sort(samples.begin(), samples.end());
    std::printf("seq %.2f %.2f\n", samples[samples.size() / 2], samples[samples.size() * 99 / 100]);
}

void flow(asio::io_context& io, asio::thread_pool& pool) {
    io.restart();
    auto guard = asio::make_work_guard(io);
    int started = 0;
    int finished = 0;
    std::function<void()> next = [&] {
        if (++finished == calls) guard.reset();
        if (started++ < calls) call(io, pool, [&next] { next(); });
    };
    const auto start = clock_type::now();
    const double cpu = cpu_microseconds();
    for (; started < outstanding; ++started) call(io, pool, [&next] { next(); });
    io.run();
    std::printf("flow %.0f\ncpu %.3f\n", calls / (microseconds(clock_type::now() - start) / 1e6), (cpu_microseconds() - cpu) / calls);
}

} // namespace

int main() {
    asio::io_context io(1);
    asio::thread_pool pool(1);
    sequential(io, pool);
    flow(io, pool);
    pool.join();
}
