// The same work as bench_offload on libuv: uv_queue_work. The number of its threads is fixed at the first call, so that the part with two
// runs in a program of its own: this one, with the argument "tick".
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

#include <uv.h>

#include "offload_rows.hpp"

using namespace bench;

namespace {

uv_loop_t* loop;
clock_type::time_point start;
int most = 0;
int sent = 0;

void nothing(uv_work_t*) {}
void burn_for_a_while(uv_work_t*) {
    burn();
}

void begin(uv_work_t* w);
void came_back(uv_work_t* w, int) {
    samples.push_back(microseconds(clock_type::now() - start));
    if (static_cast<int>(samples.size()) < most) begin(w);
}
void begin(uv_work_t* w) {
    start = clock_type::now();
    uv_queue_work(loop, w, nothing, came_back);
}
void one_by_one() {
    uv_work_t w;
    most = rounds;
    begin(&w);
    uv_run(loop, UV_RUN_DEFAULT);
    samples_row("seq");
}

uv_work_t after_pause;
void cold() {
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    most = 0;
    const auto fire = [](uv_timer_t* t) {
        if (static_cast<int>(samples.size()) < cold_rounds) return begin(&after_pause);
        uv_timer_stop(t);
    };
    uv_timer_start(&timer, fire, 2, 2);
    uv_run(loop, UV_RUN_DEFAULT);
    samples_row("cold");
    uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(loop, UV_RUN_DEFAULT);
}

void again(uv_work_t* w, int) {
    if (sent < calls) ++sent, uv_queue_work(loop, w, nothing, again);
}
void flow() {
    static uv_work_t many[outstanding];
    const auto since = clock_type::now();
    const double cpu = cpu_microseconds();
    for (uv_work_t& w : many) ++sent, uv_queue_work(loop, &w, nothing, again);
    uv_run(loop, UV_RUN_DEFAULT);
    flow_row(since, cpu);
}

bool stopped = false;
clock_type::time_point due;
void stay_busy(uv_work_t* w, int) {
    if (!stopped) uv_queue_work(loop, w, burn_for_a_while, stay_busy);
}
// libuv's clock ticks in whole milliseconds.
void set(uv_timer_t* t);
void fired(uv_timer_t* t) {
    samples.push_back(microseconds(clock_type::now() - due));
    stopped = static_cast<int>(samples.size()) == ticks;
    if (!stopped) set(t);
}
void set(uv_timer_t* t) {
    uv_update_time(loop);
    due = clock_type::time_point(std::chrono::milliseconds(uv_now(loop) + 1));
    uv_timer_start(t, fired, 1, 0);
}
void tick() {
    static uv_work_t two[2];
    for (uv_work_t& w : two) uv_queue_work(loop, &w, burn_for_a_while, stay_busy);
    static uv_timer_t timer;
    uv_timer_init(loop, &timer);
    set(&timer);
    uv_run(loop, UV_RUN_DEFAULT);
    samples_row("tick");
}

} // namespace

int main(int argc, char** argv) {
    const bool second = argc > 1 && std::string_view(argv[1]) == "tick";
    ::setenv("UV_THREADPOOL_SIZE", second ? "2" : "1", 1);
    loop = uv_default_loop();
    if (second) return tick(), 0;
    one_by_one();
    cold();
    flow();
    ::execl("/proc/self/exe", argv[0], "tick", nullptr);
    return 1;
}
