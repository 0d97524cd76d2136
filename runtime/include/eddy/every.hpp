// every: run something again and again, at a fixed rate.
//
//     auto job = every(5s, [&]() -> task<> { co_await refresh(); });
//     …
//     co_await job.cancel_and_join();
//
// The job is a task of the loop's root group, as what `spawn` starts; `run` ends by cancelling and joining it. Its
// ticks are due at start + period, start + 2 · period, …: how long runs take and how late the loop is does not move
// them (no drift). Each run is a task of the job. A run that fails is reported and the job goes on.
//
// Two policies say what happens when things take too long. `overlap`: a tick falls due while a run is in progress.
// `missed`: the loop was held up (or the machine slept) past more than one tick, and finds several due at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>

#include <eddy/detail/duration.hpp>
#include <eddy/detail/periodic.hpp>
#include <eddy/task_handle.hpp>

namespace eddy {

/// A tick is due while a run is in progress:
enum class overlap_policy : unsigned char {
    skip,      // it is dropped
    queue_one, // one run follows as soon as this one has ended; further ticks until then are dropped
    concurrent // another run begins beside it
};

/// Several ticks are found due at once. All three go on at times of the grid or, `delay`, of a new one:
enum class missed_ticks : unsigned char {
    burst, // a run for each of them, one behind the other (`concurrent`: at once), at most `max_burst`
    skip,  // one run for all of them
    delay  // one run for all of them, and the next a whole period after it; for cron the same as `skip`
};

/// How a periodic job runs.
struct periodic_options {
    overlap_policy overlap = overlap_policy::skip;
    missed_ticks missed = missed_ticks::skip;
    /// Each run begins up to so much later, at random; for `every` less than the period.
    std::chrono::nanoseconds jitter = {};
    /// A run now, besides those of the ticks.
    bool at_once = false;
    /// The job ends by itself after so many runs; 0: never.
    std::size_t max_runs = 0;
    std::size_t max_burst = 1000;
    /// Of the job's tasks; copied.
    std::string_view name = {};
    /// Gets what a run threw; without it, it goes to the loop's exception handler.
    detail::unique_function<void(std::exception_ptr)> on_error = {};
    /// For jitter that can be repeated.
    std::optional<std::uint64_t> seed = {};
};

/// A periodic job: a task handle that knows about runs. Copies are the same job. Destroying handles does not cancel it.
///
/// `cancel(reason)` begins no further run and cancels those in progress; `co_await join()` waits until the job has
/// ended with all its runs, `co_await cancel_and_join()` does both. All are those of `any_task`. Loop thread only.
class periodic_job : public any_task {
public:
    periodic_job() noexcept = default;

    /// Begins no further run; those in progress end in peace, then the job is done. Idempotent; false if it was done.
    bool stop() const;
    /// When the next tick is due, jitter included; nullopt once there will be none. For cron as of its last look at the
    /// wall clock.
    [[nodiscard]] std::optional<loop_clock::time_point> next_run() const;
    /// Runs that were begun so far.
    [[nodiscard]] std::size_t runs() const;
    /// Runs in progress: 0 or 1, more only with `overlap_policy::concurrent`.
    [[nodiscard]] std::size_t running() const;
    /// Ticks that the overlap policy dropped.
    [[nodiscard]] std::size_t skipped() const;

    periodic_job(any_task driver, std::shared_ptr<detail::periodic_state> s) noexcept // for the library
        : any_task(std::move(driver)), periodic_(std::move(s)) {}

private:
    [[nodiscard]] detail::periodic_state& periodic() const;
    std::shared_ptr<detail::periodic_state> periodic_;
};

/// Starts a job that calls `fn()` every `period`, for the first time when one has passed. `fn` returns a task, another
/// awaitable or anything else, which is dropped; it lives as long as the job. Throws `std::invalid_argument` for a
/// period that is not positive and a jitter that is negative or not below the period; `std::logic_error` without a
/// running loop. On GCC 12 name the job before you await it (trap T1).
template <class Rep, class Period, class F>
auto every(std::chrono::duration<Rep, Period> period, F&& fn, periodic_options options = {},
           std::source_location site = std::source_location::current())
    -> detail::hazard_t<periodic_job, F, periodic_options>;

// --- implementation

namespace detail {

[[nodiscard]] std::unique_ptr<timetable> make_fixed_rate(std::chrono::nanoseconds period,
                                                         std::chrono::nanoseconds jitter);
[[nodiscard]] periodic_job start_periodic(std::unique_ptr<timetable> times, unique_function<task<>()> call,
                                          periodic_options options, std::string_view default_name,
                                          std::source_location site);

} // namespace detail

template <class Rep, class Period, class F>
auto every(std::chrono::duration<Rep, Period> period, F&& fn, periodic_options options, std::source_location site)
    -> detail::hazard_t<periodic_job, F, periodic_options> {
    auto times = detail::make_fixed_rate(detail::to_nanoseconds(period), options.jitter);
    return detail::start_periodic(std::move(times), detail::make_job(std::forward<F>(fn)), std::move(options), "every",
                                  site);
}

} // namespace eddy
