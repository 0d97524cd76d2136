// The same work as bench_timer on Asio's steady_timer.  usage: bench_peer_asio_timer [callbacks|awaitable]
#include <cstring>
#include <deque>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "timer_rows.hpp"

namespace {

using clock_type = bench::timer_rows::clock;
using namespace std::chrono_literals;
bench::delays delays;

asio::awaitable<void> sleeper(asio::io_context& io, bench::timer_rows& rows, clock_type::time_point due) {
    asio::steady_timer t(io, due);
    co_await t.async_wait(asio::use_awaitable);
    rows.woke(due);
}

void run_awaitables(asio::io_context& io, bench::timer_rows& rows) {
    rows.start();
    for (int i = 0; i < bench::sleepers; ++i) asio::co_spawn(io, sleeper(io, rows, clock_type::now() + delays.next()), asio::detached);
    io.poll(); // co_spawn only posts: this is where they go to sleep
    rows.all_asleep();
    io.run();
}

void run_callbacks(asio::io_context& io, bench::timer_rows& rows) {
    std::deque<asio::steady_timer> timers;
    rows.start();
    for (int i = 0; i < bench::sleepers; ++i) {
        const auto due = clock_type::now() + delays.next();
        timers.emplace_back(io, due).async_wait([&rows, due](const asio::error_code&) { rows.woke(due); });
    }
    rows.all_asleep();
    io.run();
}

} // namespace

int main(int argc, char** argv) {
    asio::io_context io(1);
    bench::timer_rows rows;
    if (argc > 1 && std::strcmp(argv[1], "awaitable") == 0)
        run_awaitables(io, rows);
    else
        run_callbacks(io, rows);
    rows.print();
    io.restart();
    std::deque<asio::steady_timer> timers;
    bench::each_row("cancel", [&] {
        for (int i = 0; i < bench::sleepers; ++i) {
            timers.emplace_back(io, clock_type::now() + 10s + delays.next() * 10).async_wait([](const asio::error_code&) {});
        }
        for (asio::steady_timer& t : timers) t.cancel();
        io.run();
    });
}
