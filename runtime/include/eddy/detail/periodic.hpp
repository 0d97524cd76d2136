// What `every` and `cron` share: the course of a periodic job.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/function.hpp>
#include <eddy/detail/jitter.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/task.hpp>

namespace eddy {

enum class overlap_policy : unsigned char;
enum class missed_ticks : unsigned char;
struct periodic_options;

class task_group;

namespace detail {

/// When the ticks of a job are due. Loop thread.
class timetable {
public:
    timetable() noexcept = default;
    timetable(const timetable&) = delete;
    timetable& operator=(const timetable&) = delete;
    virtual ~timetable() = default;

    /// The next tick on the loop's clock, as things stand; `time_point::max()` if there is none.
    [[nodiscard]] virtual loop_clock::time_point next(const event_loop& loop) = 0;
    /// How many ticks were due `late` ago, after `next` said that one was; at most `most` of them. Goes on behind them.
    [[nodiscard]] virtual std::size_t take_due(const event_loop& loop, std::chrono::nanoseconds late,
                                               missed_ticks policy, std::size_t most) = 0;
    /// After how long `next` has to be asked again, because the clock it depends on may have been set.
    [[nodiscard]] virtual std::chrono::nanoseconds good_for() const noexcept { return std::chrono::nanoseconds::max(); }
};

class tick_operation;

/// One job: shared by its tasks and its handles.
class periodic_state {
public:
    periodic_state(std::unique_ptr<timetable> times, unique_function<task<>()> call, periodic_options options);
    periodic_state(const periodic_state&) = delete;
    periodic_state& operator=(const periodic_state&) = delete;
    ~periodic_state();

    /// The job's own task: waits for ticks, starts runs, joins them.
    static task<> drive(std::shared_ptr<periodic_state> self);
    void stop() noexcept;

    [[nodiscard]] std::size_t runs() const noexcept { return runs_; }
    [[nodiscard]] std::size_t running() const noexcept { return running_; }
    [[nodiscard]] std::size_t skipped() const noexcept { return skipped_; }
    [[nodiscard]] std::optional<loop_clock::time_point> next() const noexcept { return next_; }
    [[nodiscard]] std::string_view name() const noexcept { return name_; }
    void expect_first(const event_loop& loop);

private:
    friend class tick_operation;
    class ending;
    class run_guard;
    task<> tick(task_group& group, event_loop& loop);
    task<> run_series(run_guard guard);
    void due(task_group& group, std::size_t ticks);
    void begin_run(task_group& group);
    [[nodiscard]] bool take_pending() noexcept;
    void end_ticks() noexcept;
    void failed(const std::exception_ptr& error) noexcept;
    [[nodiscard]] bool finished() const noexcept;
    [[nodiscard]] std::chrono::nanoseconds draw_delay() noexcept;

    std::unique_ptr<timetable> times_;
    unique_function<task<>()> call_;
    std::unique_ptr<periodic_options> options_;
    std::string name_;
    jitter_source jitter_;
    tick_operation* waiting_ = nullptr;
    std::optional<loop_clock::time_point> next_;
    std::size_t runs_ = 0;
    std::size_t running_ = 0;
    std::size_t pending_ = 0;
    std::size_t skipped_ = 0;
    bool stopped_ = false;
};

/// One run of a job's function: a task or another awaitable, whose result is dropped, or a plain call.
template <class F>
task<> run_job(F& fn) {
    if constexpr (awaitable_in_task<std::invoke_result_t<F&>>)
        static_cast<void>(co_await std::invoke(fn));
    else
        static_cast<void>(std::invoke(fn));
    co_return;
}

template <class F>
[[nodiscard]] unique_function<task<>()> make_job(F&& fn) {
    static_assert(std::is_invocable_v<std::decay_t<F>&>, "a periodic job is a callable without arguments");
    if constexpr (std::is_same_v<std::invoke_result_t<std::decay_t<F>&>, task<>>)
        return std::forward<F>(fn);
    else
        return [kept = std::decay_t<F>(std::forward<F>(fn))]() mutable { return run_job(kept); };
}

} // namespace detail
} // namespace eddy
