// process_pool: functions that run in other processes.
//
//     int twice(int x) { return 2 * x; }   EDDY_REMOTE(twice)        // at namespace scope
//
//     process_pool pp{2};
//     int v = co_await pp.run(twice, 21);
//     auto all = co_await pp.map(twice, numbers);                    // in order, a few at a time
//
// For code that may crash, leak, hang or eat memory, that is not thread-safe, or that has to be stopped from outside: what a thread
// cannot give (`offload` costs a tenth). After Python's multiprocessing.Pool and concurrent.futures.ProcessPoolExecutor.
//
// Workers are forked by a *fork server*: this program, started once more with posix_spawn, which has run its static initialisers and
// stops before `main`. It has one thread and a small heap, so that forking is cheap and safe whatever the program does. Functions are
// known to it by EDDY_REMOTE; arguments and results cross as bytes (<eddy/wire.hpp>), large ones in a memfd. Nothing of a worker is
// left when the program ends, in whatever way.
//
// A worker that dies fails the call that it ran, with `worker_died`; another one takes its place. Exceptions cross by type
// (<eddy/remote_exception.hpp>). Workers have our stdin, stdout and stderr; SIGINT, SIGTERM and SIGHUP that are sent
// to all of the group do not end them: it is for us to decide. The virtual clock of tests stands still while a call runs. Linux, with glibc.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/duration.hpp>
#include <eddy/detail/function.hpp>
#include <eddy/detail/process_pool_call.hpp>
#include <eddy/detail/remote_function.hpp>
#include <eddy/process.hpp>
#include <eddy/progress.hpp>
#include <eddy/remote_exception.hpp>
#include <eddy/task.hpp>
#include <eddy/this_call.hpp>
#include <eddy/wire.hpp>

/// Registers a function for `process_pool`, at namespace scope, after its declaration; any number in a file. Parameters and result
/// are types that can be sent; views and `const char*` are given a copy to show. A first parameter `std::stop_token` hears of
/// cancellations. It is a macro because it defines objects with names of their own: the registration, and the constructor by which
/// this program becomes a fork server.
#define EDDY_REMOTE(...) EDDY_REMOTE_CONCAT(__COUNTER__, __VA_ARGS__)
// For the library, so that each gets a number.
// clang-format off
#define EDDY_REMOTE_CONCAT(n, ...) EDDY_REMOTE_DEFINE(n, __VA_ARGS__)
#define EDDY_REMOTE_DEFINE(n, ...)                                                                       \
    [[maybe_unused]] static const ::eddy::detail::remote_registration<+__VA_ARGS__> eddy_remote_##n(#__VA_ARGS__); \
    [[gnu::constructor]] static void eddy_enter_##n(int argc, char** argv, char** envp) {               \
        ::eddy::detail::enter_fork_server(&eddy_enter_##n, argc, argv, envp);                           \
    }
// clang-format on

namespace eddy {

/// The worker that ran a call has ended: by a signal, by exit, or killed by the system for want of memory. What it did until then is
/// done; the call is not tried again.
class worker_died : public std::runtime_error {
public:
    worker_died(std::string function, int pid, exit_status status);
    [[nodiscard]] exit_status status() const noexcept { return status_; }
    /// As registered.
    [[nodiscard]] const std::string& function() const noexcept { return function_; }
    [[nodiscard]] int pid() const noexcept { return pid_; }

private:
    std::string function_;
    int pid_;
    exit_status status_;
};

/// A call ran into its memory limit: `std::bad_alloc` left the function.
class memory_limit_error : public std::bad_alloc {
public:
    memory_limit_error(std::string_view function, std::uint64_t limit);
    [[nodiscard]] const char* what() const noexcept override { return what_->c_str(); }

private:
    std::shared_ptr<const std::string> what_;
};

struct process_pool_options {
    std::size_t workers = 0;                // at most; 0: as many as the machine has cores. Each is started when it is needed.
    std::uint64_t max_tasks_per_worker = 0; // then another takes its place; 0: no limit
    void (*preload)() = nullptr;            // registered; run once in the fork server: what it leaves in memory, all workers share. No threads.
    void (*warm_up)() = nullptr;            // registered; run in each worker before its first call
    std::uint64_t memory = 0;               // bytes that a call may take beyond what its worker has; 0: no limit
    std::chrono::nanoseconds stop_grace = std::chrono::seconds(5); // from the stop request (if the function takes a token) to SIGTERM
    std::chrono::nanoseconds kill_grace = std::chrono::seconds(1); // from SIGTERM to SIGKILL
};

struct call_options {
    std::chrono::nanoseconds timeout{0};        // for the function, once it is with a worker; 0: none. Then as if cancelled, and `timeout_error` whatever it returns.
    std::uint64_t memory = 0;                   // 0: as the pool's
    std::chrono::nanoseconds stop_grace{-1};    // negative: as the pool's
    std::chrono::nanoseconds kill_grace{-1};
    progress_sink progress{};                   // see progress_to
    std::source_location site = std::source_location::current(); // what a timeout_error says
};

struct map_options {
    std::size_t in_flight = 0; // calls that are with workers or wait for one; 0: twice the workers
    std::size_t chunk = 1;     // items that travel together to one worker: for functions that take microseconds
    call_options call{};       // for each chunk
};

struct process_pool_stats {
    std::size_t workers = 0; // that live
    std::size_t busy = 0;
    std::size_t waiting = 0;      // calls that wait for a worker
    std::uint64_t calls = 0;      // finished, in whatever way
    std::uint64_t failed = 0;     // of these, by an exception of the function
    std::uint64_t started = 0;    // workers, ever
    std::uint64_t died = 0;       // during a call
    std::uint64_t retired = 0;    // by max_tasks_per_worker
    std::uint64_t ended_by_us = 0; // because their call was cancelled or took too long
};

/// A line that a worker passed to `this_call::log`.
class worker_log {
public:
    worker_log(std::string_view t, std::string_view f, int p) noexcept : text(t), function(f), pid(p) {}
    std::string_view text;
    std::string_view function;
    int pid;
};

/// Belongs to the loop on which it is first used. Move-only; may be moved while calls run. Its tasks may outlive it: awaited after its
/// end, calls and `start` throw `closed_resource`, and `close` has nothing left to do.
class process_pool {
public:
    /// Starts nothing yet. Throws `std::invalid_argument` for functions that are not registered.
    explicit process_pool(std::size_t workers = 0);
    explicit process_pool(process_pool_options options);
    process_pool(process_pool&&) noexcept = default;
    process_pool& operator=(process_pool&& o) noexcept;
    /// Kills what still runs, and collects it in the background; calls that wait get `closed_resource`.
    ~process_pool();

    /// Awaitable: `f(args...)` in a worker, its result or exception. The arguments are written at once, before the await. Calls get
    /// workers in the order they were awaited. Checkpoint. Cancelled while it waits for a worker, it did not run. Cancelled later:
    /// stop is requested if `f` takes a `std::stop_token`, and what it then returns is returned (R2); a function that takes none, or
    /// that goes on for `stop_grace`, gets SIGTERM, and after `kill_grace` SIGKILL; the worker is collected before the cancellation
    /// goes on. Throws `worker_died`, `timeout_error`, `memory_limit_error`, `remote_error` and what is registered, `wire::malformed`,
    /// `closed_resource`, `std::system_error` if no worker can be started, `std::logic_error` for a function that is not registered.
    template <class F, class... A>
        requires std::is_function_v<F>
    task<detail::remote_result_t<F>> run(F* f, A&&... args) {
        return run(call_options{}, f, std::forward<A>(args)...);
    }
    template <class F, class... A>
        requires std::is_function_v<F>
    task<detail::remote_result_t<F>> run(call_options options, F* f, A&&... args);

    /// Awaitable: `f(item)` for each item, the results in their order; nothing for functions without one. At most
    /// `options.in_flight` calls are on their way, and the range is read no further than that. The first call that fails cancels the
    /// others; its error is thrown. A range that is an lvalue must outlive the call.
    template <class F, class Range>
        requires std::is_function_v<F>
    auto map(F* f, Range&& range, map_options options = {}) -> task<detail::map_result_t<F>>;

    /// Awaitable: all workers started and warmed up, as a first call would have to wait for. Throws what that would. Checkpoint;
    /// cancelled, some may be.
    task<> start();
    /// Awaitable: the end. No new calls (`closed_resource`); those that were made are waited for; then the workers end, and the fork
    /// server is collected. Checkpoint; cancelled, the pool stays closed and its calls go on. Twice does no harm.
    task<> close();
    /// The same, but calls that are not over after `deadline` end with `closed_resource`, their workers killed.
    template <class Rep, class Period>
    task<> shutdown(std::chrono::duration<Rep, Period> deadline) {
        return close_within(detail::to_nanoseconds(deadline));
    }

    /// Called on the loop for each line that a worker logs; without one they are written to stderr.
    void on_log(detail::unique_function<void(const worker_log&)> handler);
    [[nodiscard]] process_pool_stats stats() const noexcept;
    /// At most.
    [[nodiscard]] std::size_t size() const noexcept;
    /// Their numbers, for tools.
    [[nodiscard]] std::vector<int> worker_pids() const;

private:
    task<> close_within(std::chrono::nanoseconds deadline);
    [[nodiscard]] detail::process_pool_core& core() const;
    std::shared_ptr<detail::process_pool_core> core_;
};

namespace detail {
using process_report = std::tuple<std::uint64_t, std::uint64_t, std::string>; // what report_progress sends: done, total, text
template <class F, class... A>
task<remote_result_t<F>> call_in_process(process_pool& pool, F* fn, A&... args);
} // namespace detail

/// The scale of `background` (<eddy/background.hpp>) for a pool's processes: `fn` is registered, arguments and result can be sent.
/// What the function tells `report_progress` reaches the caller's listener.
class processes_scale {
public:
    explicit processes_scale(process_pool& pool) noexcept : pool_(&pool) {}
    template <class F, class... A>
        requires std::is_function_v<F>
    [[nodiscard]] auto call(F* fn, A&... args) const -> task<detail::remote_result_t<F>> {
        return detail::call_in_process(*pool_, fn, args...);
    }
    [[nodiscard]] std::size_t width() const noexcept { return 2 * pool_->size(); }

private:
    process_pool* pool_;
};
/// The pool must outlive the call.
[[nodiscard]] inline processes_scale on_processes(process_pool& pool) noexcept {
    return processes_scale(pool);
}

/// The first thing in `main` of a program that uses a pool and has no EDDY_REMOTE itself, because all its functions are registered
/// in shared libraries: in a fork server it does not return. Elsewhere it returns at once. Not needed otherwise.
void serve_process_pool();

} // namespace eddy

#include <eddy/detail/process_pool_map.hpp> // --- implementation
