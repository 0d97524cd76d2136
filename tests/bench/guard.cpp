// A fixed amount of work, for guard.sh to count the instructions of.  usage: bench_guard WORK UNITS; bench_guard --works; --built
#include <ctime>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <eddy/eddy.hpp>

// The program's own clock: each look at it is 50 ns after the one before. With the real one the loop would ask the kernel after so
// many microseconds, and the count would depend on how slow valgrind is today.
extern "C" int clock_gettime(clockid_t, timespec* t) noexcept {
    static long long now = 1'000'000'000;
    now += 50;
    t->tv_sec = static_cast<std::time_t>(now / 1'000'000'000);
    t->tv_nsec = static_cast<long>(now % 1'000'000'000);
    return 0;
}

using namespace eddy;
using namespace std::chrono_literals;

namespace {

long sum = 0;

[[gnu::noinline]] task<int> leaf(int i) {
    co_return i;
}
task<> call(int n) {
    for (int i = 0; i < n; ++i) sum += co_await leaf(i);
}

task<> child() {
    ++sum;
    co_return;
}
task<> spawn_and_await(int n) {
    for (int i = 0; i < n; ++i) {
        task_handle<> h = spawn(child());
        co_await h;
    }
}

task<> yield(int n) {
    for (int i = 0; i < n; ++i) co_await this_task::yield();
}

task<> ping(event& mine, event& other, int n) {
    for (int i = 0; i < n; ++i) {
        other.set();
        co_await mine.wait();
        mine.clear();
    }
}
task<> pong(event& mine, event& other, int n) {
    for (int i = 0; i < n; ++i) {
        co_await mine.wait();
        mine.clear();
        other.set();
    }
}
task<> ping_pong(int n) {
    event a;
    event b;
    task_handle<> one = spawn(ping(a, b, n));
    task_handle<> two = spawn(pong(b, a, n));
    co_await one;
    co_await two;
}

// Beside a thousand others, so that there is something to find a place in.
task<> timer(int n) {
    event_loop& loop = this_loop();
    std::vector<callback_handle> others;
    for (int i = 1; i <= 1000; ++i) others.push_back(loop.call_later(i * 1h, [] {}));
    for (int i = 0; i < n; ++i) {
        callback_handle h = loop.call_later((i * 37 % 1000) * 1h, [] {});
        h.cancel();
        if (i % 100 == 0) co_await this_task::yield();
    }
    for (callback_handle& h : others) h.cancel();
}

task<> push_all(queue<int>& q, int n) {
    for (int i = 0; i < n; ++i) co_await q.push(i);
}
task<> hand_over(int n) {
    queue<int> q(1);
    task_handle<> producer = spawn(push_all(q, n));
    for (int i = 0; i < n; ++i) sum += co_await q.pop();
    co_await producer;
}

constexpr std::size_t message = 64;

task<> answer(unix_stream s) {
    std::array<std::byte, message> room{};
    for (;;) {
        const std::size_t got = co_await s.read_some(room);
        if (got == 0) co_return;
        co_await s.write(std::span<const std::byte>(room).first(got));
    }
}
task<> ask(unix_stream s, int rounds) {
    std::array<std::byte, message> room{};
    for (int i = 0; i < rounds; ++i) {
        co_await s.write(std::span<const std::byte>(room));
        sum += static_cast<long>(co_await s.read_some(room));
    }
}
// Each of the `n` messages is read and written once: half of them by the one end, half by the other.
task<> echo(int pairs, int n) {
    std::vector<task_handle<>> all;
    for (int i = 0; i < pairs; ++i) {
        unix_streams ends = unix_stream_pair();
        all.push_back(spawn(answer(std::move(ends.b))));
        all.push_back(spawn(ask(std::move(ends.a), n / 2 / pairs)));
    }
    for (task_handle<>& h : all) co_await h;
}
task<> echo_1(int n) {
    return echo(1, n);
}
task<> echo_64(int n) {
    return echo(64, n);
}

struct work {
    std::string_view name;
    task<> (*run)(int units);
};
constexpr std::array works{
    work{"call", call},       work{"spawn", spawn_and_await}, work{"yield", yield},   work{"pingpong", ping_pong},
    work{"timer", timer},     work{"queue", hand_over},       work{"echo1", echo_1},  work{"echo64", echo_64},
};

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--works") == 0) {
        for (const work& w : works) std::printf("%.*s\n", static_cast<int>(w.name.size()), w.name.data());
        return 0;
    }
    if (argc == 2 && std::strcmp(argv[1], "--built") == 0) {
        std::puts(BENCH_BUILT);
        return 0;
    }
    const int units = argc == 3 ? std::atoi(argv[2]) : 0;
    for (const work& w : works) {
        if (units <= 0 || w.name != argv[1]) continue;
        run(w.run(units), {.engine = engine_kind::native});
        return sum == 42;
    }
    std::fprintf(stderr, "usage: %s WORK UNITS, or --works, or --built\n", argv[0]);
    return 2;
}
