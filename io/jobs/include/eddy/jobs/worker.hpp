// jobs::worker: runs jobs that were sent by name.
//
//     jobs::worker w{"redis://127.0.0.1:6379/0", {.concurrency = 8}};
//     w.add("tasks.add", [](int a, int b) { return a + b; });                                       // on a thread
//     w.add("tasks.fetch", [&](std::string url) -> task<std::string> { … co_return page; });        // on the loop
//     w.add("tasks.flaky", flaky, {.max_retries = 5, .retry_on_error = true, .backoff = 1s});
//     co_await w.serve();                       // until w.shutdown() or a cancellation
//
// A job is acknowledged when it is over and its result is stored: a worker that is killed loses nothing, and its jobs run again
// elsewhere. A job whose worker is killed after it has run, and before it was acknowledged, runs twice; so does one whose
// worker is cut off for longer than `visibility_timeout`. `acks_early` is the other way round: at most once, and lost with its worker.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/jobs/binding.hpp>
#include <eddy/jobs/client.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs {

/// Where a task's function runs. `automatic`: coroutines on the loop, other functions on a thread.
enum class run_on : unsigned char { automatic, loop, threads };

/// How a task behaves. All times may be overruled by a job's own.
struct task_options {
    std::vector<std::string> parameters = {}; // their names, for keyword arguments
    run_on where = run_on::automatic;
    int max_retries = 3;
    bool retry_on_error = false;                          // after every error but bad arguments; else only `context::retry` does it
    std::chrono::nanoseconds backoff = std::chrono::seconds(1); // before the first retry; each is twice the one before …
    std::chrono::nanoseconds max_backoff = std::chrono::minutes(10); // … up to this
    double jitter = 0;                                    // a fraction of it, at random
    std::optional<std::chrono::nanoseconds> soft_time_limit = {}; // stop is requested, a coroutine cancelled: SoftTimeLimitExceeded
    std::optional<std::chrono::nanoseconds> time_limit = {};      // TimeLimitExceeded, whatever it returns then; a function that goes on is let go of
    bool acks_early = false;
    bool ignore_result = false;
    double rate_limit = 0;                                // starts a second in this worker; 0: no limit
};

struct worker_options {
    jobs::protocol protocol = jobs::protocol::celery;
    std::string results = {};                    // where results are, if not where the jobs are
    std::vector<std::string> queues = {};        // none: "celery", with RQ "default"
    std::string key_prefix = {};
    std::string name = {};                       // "eddy@HOST", if it is empty; with RQ 32 random digits
    std::size_t concurrency = 0;                 // jobs at a time; 0: one a core
    std::size_t prefetch = 4;                    // claimed beforehand: so many times the concurrency; with RQ none
    std::optional<std::chrono::nanoseconds> visibility_timeout = {}; // a claim that was not refreshed for so long is another's; 1 h, with RQ 90 s
    std::chrono::nanoseconds sweep = {};         // how often such claims are looked for; 0: a third of that, at most 10 s
    std::optional<std::chrono::nanoseconds> result_ttl = {}; // 24 h, with RQ 500 s
    std::size_t max_result = std::size_t{64} << 20; // bytes; beyond it the job fails with ResultTooLarge
    int max_deliveries = 10;                     // a job that was given out so often, and never finished, is a dead letter
    bool deduplicate = false;                    // an id that has finished is acknowledged and not run again; two messages of one id do not run at a time in this worker
    bool track_started = false;                  // store STARTED
    bool events = false;                         // task events from the start; heartbeats are always sent
    std::chrono::nanoseconds heartbeat = std::chrono::seconds(2);
    bool scheduler = true;                       // RQ: moves jobs to their queues when their time has come, if no other worker does
    std::chrono::nanoseconds grace = std::chrono::seconds(10); // a cancelled `serve` lets jobs end for so long; at its end, functions that were let go of
    std::chrono::nanoseconds poll = std::chrono::milliseconds(100); // sqlite: how often another process's doings are looked for
};

/// What a worker counts.
struct worker_statistics {
    std::uint64_t received = 0, succeeded = 0, failed = 0, retried = 0, revoked = 0, rejected = 0, dead = 0, duplicates = 0;
    std::uint64_t restored = 0;  // claims of others that had expired
    std::uint64_t abandoned = 0; // functions that were let go of at their time limit
    std::uint64_t put_off = 0;   // back into the broker, for their time was far away
    std::size_t active = 0, reserved = 0, scheduled = 0; // now
};

namespace detail {
class worker_core;
}

/// A worker. Belongs to the thread of one loop. An exception of a task function is its job's failure and goes nowhere else; what
/// goes wrong with the broker is reported to the loop's exception handler and tried again.
class worker {
public:
    explicit worker(std::string url, worker_options options = {});
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    /// Jobs that still run are cancelled, without waiting for it: end `serve` before.
    ~worker();

    /// Registers a function, a lambda or another callable with one signature; before `serve`. Functions on threads are called by
    /// several at a time. A name twice: `std::invalid_argument`. See binding.hpp and context.hpp.
    template <class F>
        requires detail::has_signature<std::decay_t<F>>
    worker& add(std::string name, F&& f, task_options options = {}) {
        auto h = std::make_unique<detail::typed_handler<std::decay_t<F>>>(name, options.parameters, std::forward<F>(f));
        return add_handler(std::move(name), std::move(h), std::move(options));
    }

    /// Awaitable: claims jobs and runs them until `shutdown` or `stop` was called, or the remote-control command; throws what connecting to
    /// the broker throws. Once: `std::logic_error`. Cancelled: a warm shutdown that lasts at most `grace`, then a cold one. Functions that were let
    /// go of may use what the caller has: they are waited for, for at most `grace`; those that go on then are reported, and what they use must live on.
    task<> serve();
    /// Warm shutdown: claims no more, gives back what has not started, lets running jobs end. Returns at once; `serve` ends then.
    void shutdown();
    /// Cold shutdown: the running ones are cancelled as well, and given back unless they were acknowledged early.
    void stop();
    /// Is it consuming?
    [[nodiscard]] bool ready() const noexcept;
    /// Awaitable: until it consumes.
    task<> wait_ready();

    [[nodiscard]] worker_statistics stats() const;
    [[nodiscard]] const std::string& name() const noexcept;

private:
    worker& add_handler(std::string name, std::unique_ptr<detail::handler> h, task_options options);
    std::shared_ptr<detail::worker_core> core_;
};

} // namespace eddy::jobs
