// A queue of jobs in Redis, and those who work on it: what is in the queue survives a worker that dies.
//
//     redis_queue [--url redis://127.0.0.1:6379/0] [--jobs 100] [--workers 4]
//
// A job moves from the list `eddy:jobs` to the list of its worker, and when it is done, its result is stored and it leaves that
// list, in one transaction. At the start, what an earlier run has left half done is put back. Each result is also published, and
// the program counts what it hears. Ctrl-C stops the workers; run it again, and it goes on.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/redis.hpp>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

struct settings {
    std::string url = "redis://127.0.0.1:6379/0";
    int jobs = 100;
    int workers = 4;
};

[[nodiscard]] std::string list_of(int worker) {
    return "eddy:doing:" + std::to_string(worker);
}

/// What there is to do: the length of the Collatz sequence from n on. On a thread of the pool, for it computes.
[[nodiscard]] int steps_from(long long n) {
    int steps = 0;
    for (; n > 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

/// Puts back what an earlier run has left half done; how many there were.
task<long long> put_back(redis::client rc, int workers) {
    long long jobs = 0;
    for (int w = 0; w < workers; ++w) {
        for (;;) {
            const redis::value job = co_await rc.command("LMOVE", list_of(w), "eddy:jobs", "RIGHT", "LEFT");
            if (job.is_nil()) break;
            ++jobs;
        }
    }
    co_return jobs;
}

task<> fill(redis::client rc, int jobs) {
    redis::pipeline p;
    for (int n = 1; n <= jobs; ++n) p.add("RPUSH", "eddy:jobs", n);
    const std::vector<redis::value> replies = co_await rc.run(p);
    for (const redis::value& reply : replies) reply.check();
}

task<> work(redis::client rc, int worker) {
    const std::string mine = list_of(worker);
    for (;;) {
        const std::optional<std::string> job = co_await rc.blmove("eddy:jobs", mine, "LEFT", "RIGHT", 0s);
        if (!job) continue;
        long long n = 0;
        std::from_chars(job->data(), job->data() + job->size(), n);
        const int steps = co_await offload(steps_from, n);
        redis::pipeline done;
        done.add("HSET", "eddy:results", *job, steps).add("LREM", mine, 1, *job).add("PUBLISH", "eddy:done", *job);
        static_cast<void>(co_await rc.transaction(done));
    }
}

/// Until there are results of all jobs.
task<> watch(redis::client rc, redis::subscription done, int jobs) {
    for (;;) {
        const redis::value results = co_await rc.command("HLEN", "eddy:results");
        if (results.as_integer() >= jobs) co_return;
        static_cast<void>(co_await done.next()); // or a gap: then we look again
    }
}

task<> run_queue(settings s) {
    redis::client rc = co_await redis::connect(s.url);
    const long long left_over = co_await put_back(rc, s.workers);
    if (left_over > 0)
        std::printf("%lld jobs of an earlier run were half done\n", left_over);
    else
        co_await fill(rc, s.jobs);
    redis::subscription done = co_await rc.subscribe("eddy:done");
    co_await with_task_group([&](task_group& g) -> task<> {
        for (int w = 0; w < s.workers; ++w) g.spawn(work(rc, w));
        co_await watch(rc, std::move(done), s.jobs);
        g.cancel();
    });

    redis::value longest = co_await rc.command("HGETALL", "eddy:results");
    std::vector<std::string> words = longest.take_strings();
    int steps = -1;
    std::string number;
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
        if (std::stoi(words[i + 1]) <= steps) continue;
        number = words[i];
        steps = std::stoi(words[i + 1]);
    }
    std::printf("%zu jobs done by %d workers; the longest way is that of %s: %d steps\n", words.size() / 2, s.workers, number.c_str(), steps);
    co_await rc.command("DEL", "eddy:results");
}

[[nodiscard]] bool parse(int argc, char** argv, settings& s) {
    for (int i = 1; i < argc; i += 2) {
        const std::string_view option = argv[i];
        if (i + 1 == argc) return false;
        const std::string_view text = argv[i + 1];
        if (option == "--url") {
            s.url = text;
            continue;
        }
        int* const number = option == "--jobs" ? &s.jobs : option == "--workers" ? &s.workers : nullptr;
        if (!number) return false;
        const std::from_chars_result r = std::from_chars(text.data(), text.data() + text.size(), *number);
        if (r.ec != std::errc() || r.ptr != text.data() + text.size() || *number < 1 || *number > 100'000) return false;
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    settings s;
    if (!parse(argc, argv, s)) {
        std::fputs("usage: redis_queue [--url redis://HOST:PORT/DATABASE] [--jobs N] [--workers N]\n", stderr);
        return 2;
    }
    return run_main(run_queue(std::move(s)));
}
