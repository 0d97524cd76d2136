// offload_demo: what `offload` is for, in three measurements.
//
// A ticker wants to run every 5 ms. Meanwhile there is nothing to do; or there is a lot of computing, and it is handed
// to the worker pool with `co_await offload(f)`, until the pool is full and has a queue; or the same computing is done
// right in the tasks, on the loop's own thread, which is the mistake that offload spares us. How late the ticker is
// each time is the proof.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <eddy/loop_clock.hpp>
#include <eddy/offload.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>

namespace {

using namespace std::chrono_literals;
using milliseconds = std::chrono::duration<double, std::milli>;

constexpr int jobs = 48;

// Something that takes a while: some ten milliseconds. It knows nothing of loops and threads.
int count_primes(int below) {
    int primes = 0;
    for (int n = 2; n < below; ++n) {
        bool prime = true;
        for (int d = 2; d * d <= n && prime; ++d) prime = n % d != 0;
        primes += prime ? 1 : 0;
    }
    return primes;
}

constexpr int size_of_a_job = 150'000;

// Runs until it is cancelled, and notes by how much it was late each time. It keeps to its timetable: after a stop of
// 50 ms ten ticks are late, not one. (Whoever sets the clock anew after each tick does not see what was missed.)
eddy::task<> tick(std::vector<milliseconds>& lateness) {
    for (auto due = eddy::loop_clock::now() + 5ms;; due += 5ms) {
        co_await eddy::sleep_until(due);
        lateness.push_back(eddy::loop_clock::now() - due);
    }
}

struct measurement {
    std::string what;
    std::vector<milliseconds> lateness;
    milliseconds took{0};
    long primes = 0;
};

// All jobs at once, each a task. `job` is a coroutine that computes one of them.
template <class Job>
eddy::task<> all_jobs(Job job, long& primes) {
    co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
        const auto one = [&]() -> eddy::task<> {
            const int n = co_await job();
            primes += n;
        };
        for (int i = 0; i < jobs; ++i) g.spawn(one);
        co_return; // the group waits for its tasks
    });
}

eddy::task<> nothing(long&) {
    co_await eddy::sleep_for(500ms);
}

eddy::task<> on_the_pool(long& primes) {
    co_await all_jobs([]() -> eddy::task<int> { co_return co_await eddy::offload(count_primes, size_of_a_job); },
                      primes);
}

eddy::task<> on_the_loop(long& primes) {
    // It even lets others run between two jobs. That does not help: during a job nothing else can.
    const auto job = []() -> eddy::task<int> {
        co_await eddy::this_task::yield();
        co_return count_primes(size_of_a_job);
    };
    co_await all_jobs(job, primes);
}

template <class Work>
eddy::task<measurement> measure(std::string what, Work work) {
    measurement m;
    m.what = std::move(what);
    const auto start = eddy::loop_clock::now();
    co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
        g.spawn(tick(m.lateness));
        co_await work(m.primes);
        m.took = eddy::loop_clock::now() - start;
        co_await eddy::sleep_for(20ms); // the ticker catches up
        g.cancel("measured");
    });
    std::sort(m.lateness.begin(), m.lateness.end());
    co_return m;
}

double percentile(const measurement& m, double p) {
    if (m.lateness.empty()) return 0;
    const auto rank = static_cast<std::size_t>(p * static_cast<double>(m.lateness.size() - 1));
    return m.lateness[rank].count();
}

void print(const measurement& m) {
    std::printf("  %-28s %7zu %9.2f %9.2f %9.2f %11.0f\n", m.what.c_str(), m.lateness.size(), percentile(m, 0.5),
                percentile(m, 0.99), percentile(m, 1.0), m.took.count());
}

eddy::task<int> demo() {
    std::printf("A ticker runs every 5 ms. How late is it, in ms, while there are %d jobs to compute?\n\n", jobs);
    std::printf("  %-28s %7s %9s %9s %9s %11s\n", "the jobs run", "ticks", "p50", "p99", "worst", "all took");
    const measurement idle = co_await measure("nowhere: there are none", nothing);
    print(idle);
    const measurement pool = co_await measure("on the pool, by offload", on_the_pool);
    print(pool);
    const measurement loop = co_await measure("on the loop: the mistake", on_the_loop);
    print(loop);

    if (pool.primes != loop.primes) {
        std::fprintf(stderr, "offload_demo: the results differ: %ld and %ld primes\n", pool.primes, loop.primes);
        co_return 1;
    }
    std::printf("\nBoth ways found the same %ld primes. With the work on the pool the ticker was late by %.2f ms "
                "(p50), with the\n"
                "work on the loop by %.2f ms.\n",
                pool.primes, percentile(pool, 0.5), percentile(loop, 0.5));
    co_return 0;
}

} // namespace

int main() {
    return eddy::run_main(demo());
}
