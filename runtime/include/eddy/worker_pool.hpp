// worker_pool: threads for what would hold the loop up. `offload` (<eddy/offload.hpp>) gives them work.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <vector>

#include <eddy/detail/duration.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/detail/ready_list.hpp>

namespace eddy {

/// `offload` to a pool that was shut down.
class pool_stopped : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

namespace detail {

class pool_core;

/// Who waits for a call: what a report makes its name of. Most calls are in no report.
struct waiting_task {
    std::string given_name;
    std::uint64_t id = 0;
    [[nodiscard]] std::string name() const { return given_name.empty() ? "task-" + std::to_string(id) : given_name; }
};

/// One call for a pool. Lives where its owner says; the pool only links it.
class pool_job {
public:
    pool_job() noexcept = default;
    pool_job(const pool_job&) = delete;
    pool_job& operator=(const pool_job&) = delete;
    /// On a worker thread: does the work.
    virtual void execute() noexcept = 0;
    /// Instead of that: it will not be done, the pool has stopped.
    virtual void refuse() noexcept = 0;
    /// After that, when the pool no longer counts it as running: tells its owner. The job may be gone when it returns. `last`
    /// is the mailbox that the worker used last, or null: one that is used again and again is counted once.
    virtual void deliver(std::shared_ptr<mailbox>& last) noexcept = 0;

    list_link<pool_job> link;
    pool_job* submitted_before = nullptr; // the pool's
    std::source_location site{};          // these two are written before it is submitted
    waiting_task waited_for_by;

protected:
    ~pool_job() = default;
};

} // namespace detail

struct worker_pool_options {
    std::size_t threads = 0;     // at most so many; 0: one a core. Started when there is work for them.
    const char* name = "worker"; // of the threads, as debuggers show it
};

/// Calls wait in one queue, first come first served; each is part of an awaiting task, so the number of waiting calls is
/// the number of tasks that wait. Idle workers sleep; where calls have lately come quickly they spin for some microseconds first. While none sleeps, and there is a
/// thread for every call or there are as many as there may be, handing one over takes no lock. Thread-safe.
class worker_pool {
public:
    explicit worker_pool(std::size_t threads = 0) : worker_pool(worker_pool_options{.threads = threads}) {}
    explicit worker_pool(const worker_pool_options& options);
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;
    /// `shutdown(10 s)`; calls that are still stuck then are named on stderr and their threads let go.
    ~worker_pool();

    /// Threads that were started.
    [[nodiscard]] std::size_t threads() const noexcept;
    /// Threads that there will be at most.
    [[nodiscard]] std::size_t max_threads() const noexcept;
    /// Calls that wait for a worker, and calls that run.
    [[nodiscard]] std::size_t queued() const noexcept;
    [[nodiscard]] std::size_t running() const noexcept;

    /// Refuses further calls, and `in_loop` in those that run, and waits until those it has accepted are finished and the
    /// threads have ended. At the deadline the remaining threads are detached, the labels and sites of their calls are
    /// returned, and calls that still wait for a worker end with `pool_stopped`.
    template <class Rep, class Period>
    std::vector<std::string> shutdown(std::chrono::duration<Rep, Period> limit) {
        return stop(detail::to_nanoseconds(limit));
    }

    // for the library; both thread-safe
    void submit(detail::pool_job& job);                       // throws pool_stopped
    [[nodiscard]] bool withdraw(detail::pool_job& job) noexcept; // true: it will not run
    /// Calls are queued, and every worker there can be waits for a task on the loop (`in_loop`); true once for each time.
    [[nodiscard]] bool newly_starved() noexcept;

private:
    std::vector<std::string> stop(std::chrono::nanoseconds limit);
    std::shared_ptr<detail::pool_core> core_;
};

namespace detail {

/// The pool that this thread works for, as long as it does. Out of line (trap T7).
[[nodiscard]] std::shared_ptr<pool_core> pool_of_this_worker() noexcept;
[[nodiscard]] bool is_stopping(const pool_core& pool) noexcept;

/// While it lives, one worker of the pool counts as waiting for a task on the loop. The pool may go meanwhile (R16).
class blocked_worker {
public:
    explicit blocked_worker(std::shared_ptr<pool_core> pool) noexcept;
    blocked_worker(const blocked_worker&) = delete;
    blocked_worker& operator=(const blocked_worker&) = delete;
    ~blocked_worker();

private:
    std::shared_ptr<pool_core> core_;
};

} // namespace detail

} // namespace eddy
