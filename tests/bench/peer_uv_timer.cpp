// The same work as bench_timer on libuv's timers, which count in milliseconds.
#include <uv.h>

#include <vector>

#include "timer_rows.hpp"

namespace {

using clock_type = bench::timer_rows::clock;
using namespace std::chrono_literals;
bench::delays delays;
bench::timer_rows rows;

struct sleeper {
    uv_timer_t timer;
    clock_type::time_point due;
};

std::uint64_t milliseconds_up(std::chrono::microseconds d) {
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(d).count());
}

} // namespace

int main() {
    uv_loop_t* const loop = uv_default_loop();
    rows.start();
    std::vector<sleeper> all(bench::sleepers);
    for (sleeper& s : all) {
        const auto d = delays.next();
        s.due = clock_type::now() + d;
        uv_timer_init(loop, &s.timer);
        s.timer.data = &s;
        uv_update_time(loop);
        uv_timer_start(&s.timer, [](uv_timer_t* t) { rows.woke(static_cast<sleeper*>(t->data)->due); }, milliseconds_up(d), 0);
    }
    rows.all_asleep();
    uv_run(loop, UV_RUN_DEFAULT);
    rows.print();
    bench::each_row("cancel", [&] {
        for (sleeper& s : all) uv_timer_start(&s.timer, [](uv_timer_t*) {}, milliseconds_up(10s + delays.next() * 10), 0);
        for (sleeper& s : all) uv_timer_stop(&s.timer);
    });
}
