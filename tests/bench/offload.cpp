// An empty function on one worker and back: one after another, after pauses, then 1000 outstanding; and the lateness of a 1 ms tick
// beside two busy workers.
#include <eddy/eddy.hpp>

#include "offload_rows.hpp"

using namespace eddy;
using namespace bench;

namespace {

int nothing() {
    return 1;
}

task<> timed(worker_pool& pool) {
    const auto start = clock_type::now();
    co_await offload(pool, nothing);
    samples.push_back(microseconds(clock_type::now() - start));
}
task<> sequential(worker_pool& pool) {
    for (int i = 0; i < rounds; ++i) co_await timed(pool);
    samples_row("seq");
}
task<> cold(worker_pool& pool) {
    for (int i = 0; i < cold_rounds; ++i) {
        co_await sleep_for(rest_between);
        co_await timed(pool);
    }
    samples_row("cold");
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
    flow_row(start, cpu);
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
    samples_row("tick");
    co_await a.cancel_and_join();
    co_await b.cancel_and_join();
}

task<> all() {
    {
        worker_pool one{1};
        co_await sequential(one);
        co_await cold(one);
        co_await flow(one);
    }
    co_await tick();
}

} // namespace

int main() {
    return run_main(all());
}
