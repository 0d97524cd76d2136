// A million sleepers that wake within a second, then a million that are cancelled.  usage: bench_timer [tasks|callbacks]
// Prints: ms beyond the longest sleep, CPU ns and bytes a sleeper, lateness in µs (p50, p99), ns to set and cancel a timer. `tasks`
// sleep, `callbacks` are those of `call_later`, which is what is set and cancelled for both. For tasks also `unwind`: ns to spawn
// one that goes to sleep, cancel it, and have it unwind.
#include <cstring>
#include <vector>

#include <eddy/coro.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>

#include "timer_rows.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

using clock_type = bench::timer_rows::clock;
bench::delays delays;

loop_clock::time_point on_loop(clock_type::time_point t) {
    return loop_clock::time_point(t.time_since_epoch());
}

task<> sleeper(bench::timer_rows& rows, clock_type::time_point due) {
    co_await sleep_until(on_loop(due));
    rows.woke(due);
}
task<> long_sleeper(std::chrono::nanoseconds d) {
    co_await sleep_for(d);
}

task<> tasks() {
    bench::timer_rows rows;
    rows.start();
    for (int i = 0; i < bench::sleepers; ++i) spawn(sleeper(rows, clock_type::now() + delays.next()));
    co_await this_task::yield(); // this is where they go to sleep
    rows.all_asleep();
    while (!rows.all_woke()) co_await sleep_for(1ms);
    rows.print();
}

task<> callbacks() {
    bench::timer_rows rows;
    rows.start();
    event_loop& loop = this_loop();
    for (int i = 0; i < bench::sleepers; ++i) {
        const auto due = clock_type::now() + delays.next();
        loop.call_at(on_loop(due), [&rows, due] { rows.woke(due); });
    }
    rows.all_asleep();
    while (!rows.all_woke()) co_await sleep_for(1ms);
    rows.print();
}

task<> cancelled_callbacks() {
    std::vector<callback_handle> handles;
    handles.reserve(bench::sleepers);
    for (int i = 0; i < bench::sleepers; ++i) handles.push_back(this_loop().call_later(10s + delays.next() * 10, [] {}));
    for (callback_handle& h : handles) h.cancel();
    co_return;
}

task<> unwound_tasks() {
    std::vector<task_handle<>> handles;
    handles.reserve(bench::sleepers);
    for (int i = 0; i < bench::sleepers; ++i) handles.push_back(spawn(long_sleeper(10s + delays.next() * 10)));
    co_await this_task::yield();
    for (task_handle<>& h : handles) h.cancel();
    while (this_loop().stats().tasks > 1) co_await this_task::yield();
}

} // namespace

int main(int argc, char** argv) {
    const bool with_callbacks = argc > 1 && std::strcmp(argv[1], "callbacks") == 0;
    if (argc > 2 || (argc == 2 && !with_callbacks && std::strcmp(argv[1], "tasks") != 0)) {
        std::fprintf(stderr, "usage: %s [tasks|callbacks]\n", argv[0]);
        return 2;
    }
    runner r;
    r.run(with_callbacks ? callbacks() : tasks());
    bench::each_row("cancel", [&] { r.run(cancelled_callbacks()); });
    if (!with_callbacks) bench::each_row("unwind", [&] { r.run(unwound_tasks()); });
}
