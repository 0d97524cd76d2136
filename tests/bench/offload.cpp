// An empty function on one worker and back: one after another, then 1000 outstanding; and the lateness of a 1 ms tick
// beside two busy workers.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <eddy/eddy.hpp>

using namespace eddy;
using clock_type = std::chrono::steady_clock;

namespace {

constexpr int rounds = 20'000;
constexpr int outstanding = 1000;
constexpr int calls = 300'000;
constexpr int ticks = 2000;

std::vector<double> samples; // microseconds

double microseconds(clock_type::duration d) {
    return std::chrono::duration<double, std::micro>(d).count();
}
double quantile(double q) {
    std::sort(samples.begin(), samples.end());
    return samples[static_cast<std::size_t>(static_cast<double>(samples.size() - 1) * q)];
}
double cpu_microseconds() {
    rusage u{};
    ::getrusage(RUSAGE_SELF, &u);
    const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
    return us(u.ru_utime) + us(u.ru_stime);
}

int nothing() {
    return 1;
}
void burn() {
    for (const auto end = clock_type::now() + std::chrono::milliseconds(2); clock_type::now() < end;) {}
}

task<> sequential(worker_pool& pool) {
    for (int i = 0; i < rounds; ++i) {
        const auto start = clock_type::now();
        co_await offload(pool, nothing);
        samples.push_back(microseconds(clock_type::now() - start));
    }
    std::printf("seq %.2f %.2f\n", quantile(.5), quantile(.99));
    samples.clear();
}

task<> caller(worker_pool& pool, int n) {
    for (int i = 0; i < n; ++i) co_await offload(pool, nothing);
}
task<> flow(worker_pool& pool) {
    const auto start = clock_type::now();
    const double cpu = cpu_microseconds();
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int i = 0; i < outstanding; ++i) g.spawn(caller(pool, calls / outstanding));
        co_return;
    });
    const double seconds = microseconds(clock_type::now() - start) / 1e6;
    std::printf("flow %.0f\ncpu %.3f\n", calls / seconds, (cpu_microseconds() - cpu) / calls);
}

task<> keep_busy(worker_pool& pool) {
    for (;;) co_await offload(pool, burn);
}
task<> tick() {
    worker_pool two{2};
    task_handle<> a = spawn(keep_busy(two));
    task_handle<> b = spawn(keep_busy(two));
    for (int i = 0; i < ticks; ++i) {
        const auto due = clock_type::now() + std::chrono::milliseconds(1);
        co_await sleep_for(std::chrono::milliseconds(1));
        samples.push_back(microseconds(clock_type::now() - due));
    }
    std::printf("tick %.0f %.0f %.0f\n", quantile(.5), quantile(.99), quantile(1));
    co_await a.cancel_and_join();
    co_await b.cancel_and_join();
}

task<> all() {
    {
        worker_pool one{1};
        co_await sequential(one);
        co_await flow(one);
    }
    co_await tick();
}

} // namespace

int main() {
    return run_main(all());
}
