// The small things, each by itself, with Google Benchmark: for a look while one works on them.  usage: bench_micro [--benchmark_filter=…]
// The figures of docs/benchmarks.md come from whole programs beside their peers, in turns (run.sh), which one process cannot do.
#include <cstdint>

#include <benchmark/benchmark.h>

#include <eddy/eddy.hpp>

using namespace eddy;

namespace {

[[gnu::noinline]] task<int> leaf(int i) {
    co_return i;
}
task<> child() {
    co_return;
}

/// `body` once for each iteration, within one task on a loop.
template <class F>
void in_task(benchmark::State& state, F body) {
    runner r;
    r.run([](benchmark::State& s, F& f) -> task<> {
        for (auto turn : s) {
            static_cast<void>(turn);
            co_await f();
        }
    }(state, body));
    state.SetItemsProcessed(state.iterations());
}

void await_coroutine(benchmark::State& state) {
    in_task(state, []() -> task<> {
        const int i = co_await leaf(1);
        benchmark::DoNotOptimize(i);
    });
}
void yield(benchmark::State& state) {
    in_task(state, []() -> task<> { co_await this_task::yield(); });
}
void spawn_and_await(benchmark::State& state) {
    in_task(state, []() -> task<> {
        task_handle<> h = spawn(child());
        co_await h;
    });
}
void group_of_children(benchmark::State& state) {
    const auto children = state.range(0);
    in_task(state, [children]() -> task<> {
        co_await with_task_group([children](task_group& g) -> task<> {
            for (std::int64_t i = 0; i < children; ++i) g.spawn(child());
            co_return;
        });
    });
    state.SetItemsProcessed(state.iterations() * children);
}
void set_and_cancel_timer(benchmark::State& state) {
    in_task(state, []() -> task<> {
        callback_handle t = this_loop().call_later(std::chrono::hours(1), [] {});
        t.cancel();
        co_return;
    });
}
void queue_push_and_pop(benchmark::State& state) {
    queue<int> q(16);
    in_task(state, [&q]() -> task<> {
        co_await q.push(1);
        const int i = co_await q.pop();
        benchmark::DoNotOptimize(i);
    });
}
void uncontended_mutex(benchmark::State& state) {
    mutex m;
    in_task(state, [&m]() -> task<> { const auto lock = co_await m.lock(); });
}
void echo_over_a_pair(benchmark::State& state) {
    unix_streams ends = unix_stream_pair();
    in_task(state, [&ends]() -> task<> {
        co_await ends.a.write("x");
        const borrowed_bytes got = co_await ends.b.read_borrowed();
        benchmark::DoNotOptimize(got.size());
    });
}
void offload_and_back(benchmark::State& state) {
    in_task(state, []() -> task<> { co_await offload([] {}); });
}

BENCHMARK(await_coroutine);
BENCHMARK(yield);
BENCHMARK(spawn_and_await);
BENCHMARK(group_of_children)->Arg(1)->Arg(16)->Arg(256);
BENCHMARK(set_and_cancel_timer);
BENCHMARK(queue_push_and_pop);
BENCHMARK(uncontended_mutex);
BENCHMARK(echo_over_a_pair);
BENCHMARK(offload_and_back)->UseRealTime();

} // namespace

BENCHMARK_MAIN();
