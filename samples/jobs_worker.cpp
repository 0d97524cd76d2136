// jobs_worker: a Celery or RQ worker in C++. Python programs send it the tasks of an application, and get its results.
//
//     jobs_worker --url redis://127.0.0.1:6379/0 [--results redis://127.0.0.1:6379/1] [--queue celery]… [--concurrency N]
//                 [--name HOST] [--visibility SECONDS] [--prefetch N] [--events] [--deduplicate]
//     jobs_worker --rq --url redis://127.0.0.1:6379/0 [--queue default]… [--concurrency N] [--name NAME] [--visibility SECONDS]
//
// Prints "ready" when it consumes. SIGTERM or Ctrl-C: it finishes what runs and gives the rest back; a second one, or SIGQUIT: it gives
// all of it back. The URL may be sqlite:FILE as well, and the jobs come from jobs_send then.
//
// The tasks are those that people try first: functions on threads, coroutines, failures, retries, limits, progress.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/jobs.hpp>

#include "number.hpp"

namespace {

using namespace std::chrono_literals;
using namespace eddy;

struct worker_arguments {
    std::string url;
    jobs::worker_options options;
};

worker_arguments parse_arguments(std::span<char*> given) {
    worker_arguments a;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const std::string_view option = given[i];
        const auto value = [&]() -> std::string {
            if (i + 1 == given.size()) throw std::invalid_argument(std::string(option) + " needs a value");
            return given[++i];
        };
        if (option == "--url") a.url = value();
        else if (option == "--results") a.options.results = value();
        else if (option == "--queue") a.options.queues.push_back(value());
        else if (option == "--concurrency") a.options.concurrency = samples::parse_number<std::size_t>(option, value(), 1, 10'000);
        else if (option == "--prefetch") a.options.prefetch = samples::parse_number<std::size_t>(option, value(), 1, 10'000);
        else if (option == "--name") a.options.name = value();
        else if (option == "--visibility") a.options.visibility_timeout = std::chrono::seconds(samples::parse_number<int>(option, value(), 1, 1'000'000));
        else if (option == "--events") a.options.events = true;
        else if (option == "--deduplicate") a.options.deduplicate = true;
        else if (option == "--rq") a.options.protocol = jobs::protocol::rq;
        else throw std::invalid_argument("cannot read '" + std::string(option) + "'");
    }
    if (a.url.empty()) throw std::invalid_argument("--url is missing");
    return a;
}

/// What kills its process is run in one of its own.
task<> in_a_process_that_dies() {
    command c("/bin/sh", "-c", "kill -9 $$");
    const auto done = co_await run_process(std::move(c));
    const std::string how = "Worker exited prematurely: signal " + std::to_string(done.status.signal()) + " (SIGKILL) Job: 0.";
    jobs::failure lost("WorkerLostError", how);
    lost.set_module("billiard.exceptions");
    throw lost;
}

/// Numbers as Python adds them: integers stay integers.
jobs::json add_numbers(const jobs::json& a, const jobs::json& b) {
    if (!a.is_number() || !b.is_number()) throw jobs::bad_arguments("unsupported operand type(s) for +");
    if (a.is_number_integer() && b.is_number_integer()) return a.get<std::int64_t>() + b.get<std::int64_t>();
    return a.get<double>() + b.get<double>();
}
task<double> sleep_seconds(double s) {
    co_await sleep_for(std::chrono::duration<double>(s));
    co_return s;
}
task<jobs::json> slow(jobs::json s) {
    if (!s.is_number()) throw jobs::bad_arguments("an integer or float is required");
    co_await sleep_seconds(s.get<double>());
    co_return s;
}
task<std::string> flaky(jobs::context& job, int n) {
    if (job.retries() < n) job.retry(1s, "again");
    co_return "ok after " + std::to_string(job.retries());
}
task<std::string> progress(jobs::context& job) {
    job.progress({{"cur", 1}, {"total", 2}});
    co_await sleep_for(200ms);
    co_return "done";
}
/// Keeps a thread busy; asked to stop, it does so only if it `listens`.
std::string spin(jobs::context& job, double seconds, bool listens) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < until)
        if (listens && job.stop_token().stop_requested()) return "stopped";
    return "done";
}

void add_tasks(jobs::worker& w) {
    w.add("tasks.add", [](jobs::json x, jobs::json y) { return add_numbers(x, y); }, {.parameters = {"x", "y"}});
    w.add("tasks.boom", [] { throw jobs::failure("ValueError", "bad thing", 42); });
    w.add("tasks.flaky", flaky, {.parameters = {"n"}, .max_retries = 3});
    w.add("tasks.slow", slow, {.parameters = {"s"}});
    w.add("tasks.tsum", [](std::vector<jobs::json> xs) {
        jobs::json sum = 0;
        for (const jobs::json& x : xs) sum = add_numbers(sum, x);
        return sum;
    }, {.parameters = {"xs"}});
    w.add("tasks.noop", []() -> task<> { co_return; });
    w.add("tasks.noop_ign", []() -> task<> { co_return; }, {.ignore_result = true});
    w.add("tasks.onerr", [](jobs::arguments) -> task<std::string> { co_return "onerr"; });
    w.add("tasks.big", [](std::size_t n) { return std::string(n, 'x'); }, {.parameters = {"n"}});
    w.add("tasks.softy", [] { return sleep_seconds(5); }, {.soft_time_limit = 1s});
    w.add("tasks.hardy", [] { return sleep_seconds(5); }, {.time_limit = 1s});
    w.add("tasks.suicide", in_a_process_that_dies, {.acks_early = true});
    w.add("tasks.suicide_late", [](jobs::context& job) -> task<> {
        try {
            co_await in_a_process_that_dies();
        } catch (const jobs::failure& lost) {
            if (!job.redelivered()) throw jobs::reject(lost.what(), true);
            throw;
        }
    });
    w.add("tasks.auto", []() -> task<> {
        throw jobs::failure("RuntimeError", "auto");
        co_return;
    }, {.max_retries = 2, .retry_on_error = true, .backoff = 1s, .max_backoff = 600s});
    w.add("tasks.rejecter", [] { throw jobs::reject("no"); });
    w.add("tasks.ignorer", [] { throw jobs::ignore(); });
    w.add("tasks.progress", progress);
    w.add("tasks.echo", [](jobs::json x) -> task<jobs::json> { co_return x; }, {.parameters = {"x"}});
    w.add("tasks.spin", spin, {.parameters = {"s", "listens"}});
}

/// The functions that Python would find in a module rqtasks, under these names.
void add_rq_tasks(jobs::worker& w) {
    w.add("rqtasks.add", [](jobs::json x, jobs::json y) { return add_numbers(x, y); }, {.parameters = {"x", "y"}});
    w.add("rqtasks.boom", [] { throw jobs::failure("ValueError", "bad thing", 42); });
    w.add("rqtasks.slow", slow, {.parameters = {"s"}});
    w.add("rqtasks.noop", []() -> task<> { co_return; });
    w.add("rqtasks.Calc.mul", [](jobs::json, int a, int b) { return a * b; }, {.parameters = {"self", "a", "b"}});
    w.add("rqtasks.on_ok", [](const jobs::json& result) {
        std::printf("on_ok %s\n", result.dump().c_str());
        std::fflush(stdout);
    });
    w.add("rqtasks.on_bad", [](const std::string& type, const jobs::json& arguments) {
        std::printf("on_bad %s%s\n", type.c_str(), arguments.dump().c_str());
        std::fflush(stdout);
    });
}

task<> stop_on_signals(jobs::worker& w) {
    signal_set signals{SIGTERM, SIGINT, SIGQUIT};
    for (bool warm = false;; warm = true) {
        const int which = co_await signals.next();
        if (warm || which == SIGQUIT)
            w.stop();
        else
            w.shutdown();
    }
}

task<> serve(worker_arguments a) {
    jobs::worker w{a.url, a.options};
    if (a.options.protocol == jobs::protocol::rq) add_rq_tasks(w);
    else add_tasks(w);
    const auto all = [&](task_group& g) -> task<> {
        g.spawn(stop_on_signals(w), {.name = "signals"});
        auto serving = g.spawn(w.serve(), {.name = "serve"});
        g.spawn([&]() -> task<> {
            co_await w.wait_ready();
            std::puts("ready");
            std::fflush(stdout);
        });
        co_await serving.join();
        g.cancel("the worker has ended");
        serving.result();
    };
    co_await with_task_group(all);
}

} // namespace

int main(int argc, char** argv) {
    try {
        return eddy::run_main(serve(parse_arguments(std::span(argv, static_cast<std::size_t>(argc)).subspan(1))), {.handle_signals = false});
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "jobs_worker: %s\nusage: jobs_worker --url URL [--results URL] [--queue NAME] [--concurrency N] [--prefetch N] [--name HOST] "
                             "[--visibility SECONDS] [--events] [--deduplicate] [--rq]\n", e.what());
        return 2;
    }
}
