// What the task layer costs: awaiting a coroutine, recursion, spawn and join, a yield, a hand-over between two tasks.
#include <eddy/coro.hpp>
#include <eddy/run.hpp>
#include <eddy/task_observer.hpp>

#include "count_allocations.hpp"

using namespace eddy;

namespace {

constexpr int calls = 2'000'000;
constexpr int tasks = 1'000'000;
constexpr int rounds = 1'000'000;
constexpr double fib_calls = 635'621; // made by fib(27)

long sum = 0;

[[gnu::noinline]] task<int> leaf(int i) {
    co_return i;
}
[[gnu::noinline]] task<int> fib(int n) {
    if (n < 2) co_return n;
    const int a = co_await fib(n - 1);
    const int b = co_await fib(n - 2);
    co_return a + b;
}
task<> many_calls() {
    for (int i = 0; i < calls; ++i) sum += co_await leaf(i);
}
task<> child() {
    ++sum;
    co_return;
}
task<> spawn_and_await() {
    for (int i = 0; i < tasks; ++i) {
        task_handle<> h = spawn(child());
        co_await h;
    }
}
task<> once() {
    co_await this_task::yield();
    ++sum;
}
task<> spawn_many() {
    for (int i = 0; i < tasks; ++i) spawn(once());
    while (this_loop().stats().tasks > 1) co_await this_task::yield();
}
task<> ping(event& a, event& b) {
    for (int i = 0; i < rounds; ++i) {
        a.set();
        co_await b.wait();
        b.clear();
    }
}
task<> pong(event& a, event& b) {
    for (int i = 0; i < rounds; ++i) {
        co_await a.wait();
        a.clear();
        b.set();
    }
}
task<> ping_pong() {
    event a;
    event b;
    task_handle<> one = spawn(ping(a, b));
    task_handle<> two = spawn(pong(a, b));
    co_await one;
    co_await two;
}

task<> many_yields() {
    for (int i = 0; i < rounds; ++i) co_await this_task::yield();
}
struct silent_observer final : task_observer {
    void step_begins(const any_task&) noexcept override { ++sum; }
};
// Each way of looking at a step, beside looking away.
void steps(runner& r) {
    bench::row("step", rounds, [&] { r.run(many_yields()); });
    silent_observer o;
    r.loop().add_observer(o);
    bench::row("step_observer", rounds, [&] { r.run(many_yields()); });
    r.loop().remove_observer(o);
    bench::row("step_after", rounds, [&] { r.run(many_yields()); });
    runner debug({.debug = true});
    bench::row("step_debug", rounds, [&] { debug.run(many_yields()); });
}

} // namespace

int main() {
    runner r;
    bench::row("call", calls, [&] { r.run(many_calls()); });
    bench::row("fib", fib_calls, [&] { sum += r.run(fib(27)); });
    bench::row("join", tasks, [&] { r.run(spawn_and_await()); });
    bench::row("spawn", tasks, [&] { r.run(spawn_many()); });
    bench::row("pingpong", rounds, [&] { r.run(ping_pong()); });
    for (int turn = 0; turn < 5; ++turn) steps(r); // in turns: a machine's speed drifts within seconds
    return sum == 42;
}
