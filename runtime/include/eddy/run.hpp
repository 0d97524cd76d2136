// run: a program's loop, from main.
//
//     int main() { return eddy::run_main(main_task()); }
//
// `run` makes a loop, runs the task, then cancels and joins whatever tasks are left, so that no cleanup is skipped (R14).
// A first SIGINT or SIGTERM cancels the main task; when it has unwound, the rest. Shutting down is bounded by the grace
// period (R16): at its end what is left is reported with name and await site and its shields are broken; one second later
// `run` throws `shutdown_timeout` and lets it go. A second signal kills the process the default way.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <eddy/event_loop.hpp>

namespace eddy {

struct run_options;

namespace detail {
void require_no_loop();
template <class T>
T run_and_close(task<T> main, const run_options& options);
} // namespace detail

struct run_options {
    bool debug = false;
    engine_kind engine = engine_kind::automatic;
    std::chrono::nanoseconds grace = std::chrono::seconds(10);
    bool handle_signals = true; // SIGINT and SIGTERM, as above
    std::optional<std::uint64_t> shuffle_seed = {};
    std::chrono::nanoseconds busy_poll{0}; // spin on the engine so long before sleeping
    detail::virtual_clock* clock = nullptr; // for the testing kit
    /// Debug mode: a step that holds the loop so long is reported, with its task and await chain.
    std::chrono::nanoseconds slow_step = std::chrono::milliseconds(100);
};

/// `run` was ended by a signal, and the main task unwound.
class interrupted : public std::runtime_error {
public:
    explicit interrupted(int signal);
    [[nodiscard]] int signal() const noexcept { return signal_; }

private:
    int signal_;
};

/// Tasks or worker calls did not end within the grace period.
class shutdown_timeout : public std::runtime_error {
public:
    explicit shutdown_timeout(const std::string& what, int signal = 0) : std::runtime_error(what), signal_(signal) {}
    /// The signal that had ended the run; 0 if it ended by itself.
    [[nodiscard]] int signal() const noexcept { return signal_; }

private:
    int signal_;
};

/// Runs `main` on a new loop; its value, or its error with the original type. Throws `interrupted` after a signal unless
/// main returned a value all the same; `child_cancelled` if main ended cancelled without a signal; `shutdown_timeout`, also
/// instead of `interrupted` (if main failed, its error is thrown and the timeout printed); `std::logic_error` on a thread
/// that runs a loop already (`main` is then destroyed unstarted).
template <class T>
T run(task<T> main, const run_options& options = {});

/// For `main()`: runs the task and returns its value as exit status (0 for `task<>`). Prints what escaped, with the task's
/// name, and returns 1; after a signal returns 128 + its number.
[[nodiscard]] int run_main(task<int> main, const run_options& options = {});
[[nodiscard]] int run_main(task<void> main, const run_options& options = {});

/// Several runs on one loop; tasks left by one run go on in the next, and the main tasks share their task-locals (RN-09).
/// The destructor closes the loop as `run` does. After a `shutdown_timeout` there are no further runs.
class runner {
public:
    runner() : runner(run_options{}) {}
    explicit runner(const run_options& options);
    runner(const runner&) = delete;
    runner& operator=(const runner&) = delete;
    ~runner();

    template <class T>
    T run(task<T> main);
    [[nodiscard]] event_loop& loop() noexcept { return loop_; }
    /// Cancels and joins what is left and closes the loop. Idempotent. `run` after it throws `std::logic_error`.
    void close();

private:
    template <class T>
    task_handle<T> spawn_main(task<T> main) {
        const detail::locals_entered here(locals_);
        return loop_.spawn(std::move(main), spawn_options{.name = "main"});
    }
    template <class T>
    friend T detail::run_and_close(task<T> main, const run_options& options);
    class termination_watch; // SIGINT and SIGTERM
    void require_usable() const;
    void drive(detail::task_context& main);
    void settle_watch() noexcept;
    void check_signal(const detail::task_context& main) const;
    event_loop loop_;
    std::unique_ptr<termination_watch> watch_; // while a run lasts; from a signal, or in `run`, to the end of `close`
    detail::local_context locals_ = detail::inherited_locals();
    run_options options_;
    std::optional<loop_clock::time_point> grace_end_;
    int signal_ = 0;
    bool last_run_ = false; // `close` follows
    bool gave_up_ = false;
};

// --- implementation

template <class T>
T runner::run(task<T> main) {
    require_usable();
    task_handle<T> h = spawn_main(std::move(main));
    drive(h.context());
    locals_ = h.context().locals();
    check_signal(h.context());
    return detail::result_operation<T, true>(h.context()).take();
}

namespace detail {

/// Runs and closes. The error of main is more interesting than that of the shutdown it may have caused; an interruption is
/// no error of main.
template <class T>
T run_and_close(task<T> main, const run_options& options) {
    runner r(options);
    r.last_run_ = true;
    std::exception_ptr stopped;
    try {
        if constexpr (std::is_void_v<T>) {
            r.run(std::move(main));
            r.close();
            return;
        } else {
            T result = r.run(std::move(main));
            r.close();
            return static_cast<T>(std::forward<T>(result));
        }
    } catch (const interrupted&) {
        stopped = std::current_exception();
    }
    r.close();
    std::rethrow_exception(stopped);
}

} // namespace detail

template <class T>
T run(task<T> main, const run_options& options) {
    detail::require_no_loop();
    return detail::run_and_close(std::move(main), options);
}

} // namespace eddy
