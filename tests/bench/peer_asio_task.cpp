// The same work as bench_task on Asio's awaitables: awaiting a coroutine, recursion, spawn and join, a yield.
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "count_allocations.hpp"

namespace {

constexpr int calls = 2'000'000;
constexpr int tasks = 1'000'000;
constexpr double fib_calls = 635'621;

using asio::awaitable;
long sum = 0;

awaitable<int> leaf(int i) {
    co_return i;
}
awaitable<int> fib(int n) {
    if (n < 2) co_return n;
    const int a = co_await fib(n - 1);
    const int b = co_await fib(n - 2);
    co_return a + b;
}
awaitable<void> many_calls() {
    for (int i = 0; i < calls; ++i) sum += co_await leaf(i);
}
awaitable<void> fib_once() {
    sum += co_await fib(27);
}
awaitable<void> child() {
    ++sum;
    co_return;
}
awaitable<void> spawn_and_await(asio::io_context& io) {
    for (int i = 0; i < tasks; ++i) co_await asio::co_spawn(io, child(), asio::use_awaitable);
}
awaitable<void> once(asio::io_context& io) {
    co_await asio::post(io, asio::use_awaitable);
    ++sum;
}

template <class F>
void run(F f) {
    asio::io_context io(1);
    asio::co_spawn(io, f(io), asio::detached);
    io.run();
}

} // namespace

int main() {
    bench::row("call", calls, [] { run([](asio::io_context&) { return many_calls(); }); });
    bench::row("fib", fib_calls, [] { run([](asio::io_context&) { return fib_once(); }); });
    bench::row("join", tasks, [] { run([](asio::io_context& io) { return spawn_and_await(io); }); });
    bench::row("spawn", tasks, [] {
        asio::io_context io(1);
        for (int i = 0; i < tasks; ++i) asio::co_spawn(io, once(io), asio::detached);
        io.run();
    });
    return sum == 42;
}
