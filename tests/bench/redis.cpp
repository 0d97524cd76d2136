// Round trips and pipelined commands to a Redis server, beside hiredis's own blocking client: bench_redis URL HOST PORT. Prints
// `NAME COMMANDS/S` a line. tests/bench/redis.sh starts the server and puts redis-benchmark beside it.
#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/redis.hpp>

using namespace eddy;

namespace {

constexpr int rounds = 3;

/// The best of a few runs of `n` commands: other programs on the machine only ever slow one down.
void print(const char* name, int n, std::vector<double> seconds) {
    std::printf("%s %.0f\n", name, n / *std::min_element(seconds.begin(), seconds.end()));
    std::fflush(stdout);
}

[[nodiscard]] double since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// `tasks` tasks, each of which sends one command after another, `n` in all.
task<> eddy_tasks(redis::client& rc, int tasks, int n) {
    std::vector<task<>> all;
    for (int t = 0; t < tasks; ++t)
        all.push_back([](redis::client& c, int each) -> task<> {
            for (int i = 0; i < each; ++i) static_cast<void>(co_await c.command("SET", "key", "value"));
        }(rc, n / tasks));
    static_cast<void>(co_await gather(std::move(all)));
}

task<> eddy_pipelines(redis::client& rc, int length, int n) {
    redis::pipeline p;
    for (int i = 0; i < length; ++i) p.add("SET", "key", "value");
    for (int i = 0; i < n; i += length) static_cast<void>(co_await rc.run(p));
}

task<> measure_eddy(std::string url) {
    redis::client rc = co_await redis::connect(url);
    for (const int tasks : {1, 16, 100, 1000}) {
        const int n = tasks == 1 ? 20'000 : 200'000;
        std::vector<double> seconds;
        for (int r = 0; r < rounds; ++r) {
            const auto start = std::chrono::steady_clock::now();
            co_await eddy_tasks(rc, tasks, n);
            seconds.push_back(since(start));
        }
        print(("eddy-tasks-" + std::to_string(tasks)).c_str(), n, seconds);
    }
    for (const int length : {16, 100}) {
        std::vector<double> seconds;
        for (int r = 0; r < rounds; ++r) {
            const auto start = std::chrono::steady_clock::now();
            co_await eddy_pipelines(rc, length, 200'000);
            seconds.push_back(since(start));
        }
        print(("eddy-pipeline-" + std::to_string(length)).c_str(), 200'000, seconds);
    }
}

void hiredis_pipelines(redisContext* c, int length, int n) {
    for (int i = 0; i < n; i += length) {
        for (int k = 0; k < length; ++k) redisAppendCommand(c, "SET %s %s", "key", "value");
        for (int k = 0; k < length; ++k) {
            void* reply = nullptr;
            if (redisGetReply(c, &reply) != REDIS_OK) std::abort();
            freeReplyObject(reply);
        }
    }
}

void measure_hiredis(const char* host, int port) {
    const std::unique_ptr<redisContext, void (*)(redisContext*)> c(redisConnect(host, port), &redisFree);
    if (!c || c->err) {
        std::fprintf(stderr, "bench_redis: hiredis: %s\n", c ? c->errstr : "no memory");
        std::exit(1);
    }
    for (const int length : {1, 16, 100}) {
        const int n = length == 1 ? 20'000 : 200'000;
        std::vector<double> seconds;
        for (int r = 0; r < rounds; ++r) {
            const auto start = std::chrono::steady_clock::now();
            hiredis_pipelines(c.get(), length, n);
            seconds.push_back(since(start));
        }
        print(("hiredis-pipeline-" + std::to_string(length)).c_str(), n, seconds);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: bench_redis URL HOST PORT\n", stderr);
        return 2;
    }
    measure_hiredis(argv[2], std::atoi(argv[3]));
    return run_main(measure_eddy(argv[1]));
}
