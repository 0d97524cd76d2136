// An empty function in a worker of a process_pool and back: the first, one after another, 1000 outstanding, and a map whose items
// travel 100 at a time. Two workers; beside it runs Python's ProcessPoolExecutor (peer_process_pool.py).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include <eddy/process_pool.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>

using namespace eddy;
using clock_type = std::chrono::steady_clock;

namespace {

constexpr int rounds = 5000;
constexpr int outstanding = 1000;
constexpr int calls = 50'000;

void nothing() {}
EDDY_REMOTE(nothing)
int same(int x) { return x; }
EDDY_REMOTE(same)

double microseconds(clock_type::duration d) {
    return std::chrono::duration<double, std::micro>(d).count();
}

task<> caller(process_pool& pool, int n) {
    for (int i = 0; i < n; ++i) co_await pool.run(nothing);
}

task<> measure() {
    process_pool pool{2};
    auto start = clock_type::now();
    co_await pool.run(nothing);
    std::printf("first %.0f\n", microseconds(clock_type::now() - start));

    std::vector<double> samples;
    for (int i = 0; i < rounds; ++i) {
        start = clock_type::now();
        co_await pool.run(nothing);
        samples.push_back(microseconds(clock_type::now() - start));
    }
    std::sort(samples.begin(), samples.end());
    std::printf("seq %.1f %.1f\n", samples[rounds / 2], samples[rounds * 99 / 100]);

    start = clock_type::now();
    auto all = [&pool](task_group& g) -> task<> {
        for (int i = 0; i < outstanding; ++i) g.spawn(caller, std::ref(pool), calls / outstanding);
        co_return;
    };
    co_await with_task_group(all);
    std::printf("flow %.0f\n", calls / (microseconds(clock_type::now() - start) / 1e6));

    const std::vector<int> items(1'000'000, 1);
    start = clock_type::now();
    const std::vector<int> mapped = co_await pool.map(same, items, {.chunk = 100});
    if (mapped != items) std::abort();
    std::printf("map %.0f\n", static_cast<double>(items.size()) / (microseconds(clock_type::now() - start) / 1e6));
    co_await pool.close();
}

} // namespace

int main() {
    return run_main(measure());
}
