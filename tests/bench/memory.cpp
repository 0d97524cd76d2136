// What tasks take: bytes of a suspended one, heap blocks of a spawn and of a wait on each primitive in steady state.
#include <malloc.h>

#include <memory>
#include <vector>

#include <fmt/format.h>

#include <eddy/coro.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>
#include <eddy/timeout.hpp>

#include "count_allocations.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

constexpr int many = 100'000;
constexpr int rounds = 1000;

std::size_t heap_in_use() {
    const struct mallinfo2 m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
}

/// Bytes of each of many tasks that `start` spawns and that wait for `e`.
template <class F>
task<> suspended(const char* name, F start) {
    event e;
    const std::size_t before = heap_in_use();
    for (int i = 0; i < many; ++i) start(e);
    co_await this_task::yield();
    co_await this_task::yield();
    const std::size_t after = heap_in_use();
    fmt::print("{} {:.0f}\n", name, static_cast<double>(after - before) / many);
    e.set();
    while (this_loop().stats().tasks > 1) co_await this_task::yield();
}

task<> waits(event& e) {
    co_await e.wait();
}
task<> calls(event& e) {
    co_await waits(e);
}
task<> times_out(event& e) {
    co_await with_timeout(1h, [&](cancel_scope&) { return waits(e); });
}

/// Heap blocks of one round in steady state.
template <class F>
task<> blocks(const char* name, F round) {
    for (int i = 0; i < rounds; ++i) co_await round();
    const auto before = bench::allocations;
    for (int i = 0; i < rounds; ++i) co_await round();
    fmt::print("{} {:.2f}\n", name, static_cast<double>(bench::allocations - before) / rounds);
}

/// One round in which a task waits for what another one gives.
template <class Wait, class Give>
auto hand_over(Wait wait, Give give) {
    return [=]() -> task<> {
        auto h = spawn(wait());
        co_await this_task::yield();
        give();
        co_await h;
    };
}

task<> everything() {
    co_await suspended("task", [](event& e) { spawn(waits(e)); });
    co_await suspended("nested", [](event& e) { spawn(calls(e)); });
    co_await suspended("closure", [](event& e) { spawn([&e]() -> task<> { co_await e.wait(); }); });
    co_await suspended("timeout", [](event& e) { spawn(times_out(e)); });

    event e;
    mutex m;
    semaphore s(0);
    queue<int> q(1);
    auto ch = channel<int>(0);
    co_await blocks("blocks_spawn", []() -> task<> {
        auto h = spawn([]() -> task<> { co_return; });
        co_await h;
    });
    co_await blocks("blocks_event", hand_over([&]() -> task<> { co_await e.wait(); e.clear(); }, [&] { e.set(); }));
    co_await blocks("blocks_semaphore", hand_over([&]() -> task<> { auto p = co_await s.acquire(); p.detach(); }, [&] { s.release(); }));
    co_await blocks("blocks_queue", hand_over([&]() -> task<> { static_cast<void>(co_await q.pop()); }, [&] { static_cast<void>(q.try_push(1)); }));
    co_await blocks("blocks_channel", hand_over([&]() -> task<> { static_cast<void>(co_await ch.rx.next()); }, [&] { static_cast<void>(ch.tx.try_send(1)); }));
    mutex_guard held = co_await m.lock();
    co_await blocks("blocks_mutex", hand_over([&]() -> task<> { held = co_await m.lock(); }, [&] { held.unlock(); }));
    co_await blocks("blocks_sleep", []() -> task<> { co_await sleep_for(1us); });
    co_await blocks("blocks_timeout", []() -> task<> {
        co_await with_timeout(1h, [](cancel_scope&) -> task<> { co_await this_task::yield(); });
    });
    co_await blocks("blocks_group", []() -> task<> {
        co_await with_task_group([](task_group& g) -> task<> {
            g.spawn([]() -> task<> { co_return; });
            co_return;
        });
    });
    co_await blocks("blocks_wait", []() -> task<> {
        std::vector<task_handle<>> handles(1, spawn([]() -> task<> { co_return; }));
        co_await wait(handles);
    });
}

} // namespace

int main() {
    run(everything());
}
