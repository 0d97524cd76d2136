// The same work as bench_offload on Asio: a thread_pool for the function, post back to the io_context.
#include <chrono>
#include <functional>
#include <optional>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>

#include "offload_rows.hpp"

using namespace bench;

namespace {

template <class Work, class Done>
void call(asio::io_context& io, asio::thread_pool& pool, Work work, Done done) {
    asio::post(pool, [&io, work, done] {
        work();
        asio::post(io, done);
    });
}
void nothing() {}

/// `count` calls, each `wait` after the one before.
void one_by_one(asio::io_context& io, asio::thread_pool& pool, const char* name, int count, std::chrono::milliseconds wait) {
    io.restart();
    clock_type::time_point start;
    asio::steady_timer timer(io);
    auto guard = asio::make_work_guard(io);
    std::function<void()> next;
    const auto begin = [&] {
        start = clock_type::now();
        call(io, pool, nothing, [&next] { next(); });
    };
    next = [&] {
        samples.push_back(microseconds(clock_type::now() - start));
        if (static_cast<int>(samples.size()) == count) return guard.reset();
        if (wait.count() == 0) return begin();
        timer.expires_after(wait);
        timer.async_wait([&](asio::error_code) { begin(); });
    };
    begin();
    io.run();
    samples_row(name);
}

void flow(asio::io_context& io, asio::thread_pool& pool) {
    io.restart();
    auto guard = asio::make_work_guard(io);
    int started = 0;
    int finished = 0;
    std::function<void()> next = [&] {
        if (++finished == calls) guard.reset();
        if (started++ < calls) call(io, pool, nothing, [&next] { next(); });
    };
    const auto start = clock_type::now();
    const double cpu = cpu_microseconds();
    for (; started < outstanding; ++started) call(io, pool, nothing, [&next] { next(); });
    io.run();
    flow_row(start, cpu);
}

void tick() {
    asio::io_context io(1);
    asio::thread_pool pool(2);
    bool stopped = false;
    std::function<void()> again = [&] {
        if (!stopped) call(io, pool, burn, [&again] { again(); });
    };
    again();
    again();
    asio::steady_timer timer(io);
    clock_type::time_point due;
    std::function<void()> wait = [&] {
        due = clock_type::now() + std::chrono::milliseconds(1);
        timer.expires_at(due);
        timer.async_wait([&](asio::error_code) {
            samples.push_back(microseconds(clock_type::now() - due));
            stopped = static_cast<int>(samples.size()) == ticks;
            if (!stopped) wait();
        });
    };
    wait();
    io.run();
    pool.join();
    samples_row("tick");
}

} // namespace

int main() {
    {
        asio::io_context io(1);
        asio::thread_pool pool(1);
        one_by_one(io, pool, "seq", rounds, std::chrono::milliseconds(0));
        one_by_one(io, pool, "cold", cold_rounds, rest_between);
        flow(io, pool);
        pool.join();
    }
    tick();
}
