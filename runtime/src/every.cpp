#include <eddy/every.hpp>

#include <algorithm>
#include <stdexcept>

#include <eddy/detail/task_context.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>

namespace eddy {
namespace detail {

/// The job's task waits for its next tick; `stop` ends the wait early.
class tick_operation final : public leaf<tick_operation> {
public:
    tick_operation(periodic_state& job, loop_clock::time_point when) noexcept
        : timer_(*this), job_(&job), when_(when) {}
    tick_operation(tick_operation&& o) noexcept : leaf(std::move(o)), timer_(*this), job_(o.job_), when_(o.when_) {}

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start() {
        task().loop().arm(timer_, when_);
        job_->waiting_ = this;
        return false;
    }
    bool abort() noexcept override {
        detach();
        return true;
    }
    void take() const noexcept {}
    void end_early() noexcept {
        detach();
        finish();
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "its next tick"; }

private:
    struct owned_timer : timer_node {
        explicit owned_timer(tick_operation& o) noexcept : timer_node(&due), operation(o) {}
        tick_operation& operation;
    };
    static void due(ready_node& n) {
        tick_operation& op = static_cast<owned_timer&>(n).operation;
        op.job_->waiting_ = nullptr;
        op.finish();
    }
    void detach() noexcept {
        task().loop().disarm(timer_);
        job_->waiting_ = nullptr;
    }
    owned_timer timer_;
    periodic_state* job_;
    loop_clock::time_point when_;
};

/// However the job ends: there will be no further tick, and the function goes with all it captured.
class periodic_state::ending {
public:
    explicit ending(periodic_state& s) noexcept : state_(s) {}
    ending(const ending&) = delete;
    ending& operator=(const ending&) = delete;
    ~ending() {
        state_.next_.reset();
        state_.call_ = {};
        state_.options_->on_error = {};
    }

private:
    periodic_state& state_;
};

/// Counts a run from the moment its task is there until it has ended in whatever way.
class periodic_state::run_guard {
public:
    explicit run_guard(periodic_state& s) noexcept : state_(&s) { ++s.running_; }
    run_guard(run_guard&& o) noexcept : state_(std::exchange(o.state_, nullptr)) {}
    run_guard& operator=(run_guard&&) = delete;
    ~run_guard() {
        if (state_) --state_->running_;
    }

private:
    periodic_state* state_;
};

periodic_state::periodic_state(std::unique_ptr<timetable> times, unique_function<task<>()> call,
                               periodic_options options)
    : times_(std::move(times)), call_(std::move(call)),
      options_(std::make_unique<periodic_options>(std::move(options))), name_(options_->name), jitter_(options_->seed) {
    options_->name = name_;
}
periodic_state::~periodic_state() = default;

void periodic_state::expect_first(const event_loop& loop) {
    next_ = options_->at_once ? loop.now() : times_->next(loop);
}

task<> periodic_state::drive(std::shared_ptr<periodic_state> self) {
    const ending at_the_end(*self);
    event_loop& loop = this_loop();
    const auto body = [&](task_group& g) { return self->tick(g, loop); };
    co_await with_task_group(body);
}

task<> periodic_state::tick(task_group& group, event_loop& loop) {
    co_await this_task::checkpoint(); // cancelled before it began: no run at all
    if (options_->at_once) due(group, 1);
    std::chrono::nanoseconds delay = draw_delay();
    while (!finished()) {
        const loop_clock::time_point when = after(times_->next(loop), delay);
        next_ = when;
        tick_operation wait(*this, std::min(when, after(loop.now(), times_->good_for())));
        co_await wait;
        if (finished() || loop.now() < after(times_->next(loop), delay)) continue; // stopped, or the wall clock was set
        due(group, times_->take_due(loop, delay, options_->missed, std::max<std::size_t>(options_->max_burst, 1)));
        delay = draw_delay();
    }
    next_.reset();
}

void periodic_state::due(task_group& group, std::size_t ticks) {
    if (ticks == 0 || finished()) return;
    switch (options_->overlap) {
    case overlap_policy::concurrent:
        for (; ticks > 0 && !finished(); --ticks) begin_run(group);
        return;
    case overlap_policy::skip:
        if (running_ > 0) break;
        begin_run(group);
        pending_ = ticks - 1;
        return;
    case overlap_policy::queue_one:
        if (running_ > 0 && pending_ > 0) break;
        if (running_ > 0) {
            pending_ = 1;
        } else {
            begin_run(group);
            pending_ = ticks - 1;
            return;
        }
        --ticks;
        break;
    }
    skipped_ += ticks;
}

void periodic_state::begin_run(task_group& group) {
    group.spawn(run_series(run_guard(*this)), {.name = name_});
    ++runs_;
}

// The runs that a tick has left pending follow in the same task, each after a turn of everybody else.
task<> periodic_state::run_series(run_guard guard) {
    const run_guard counted = std::move(guard);
    const detail::task_context& self = co_await detail::this_context();
    for (;;) {
        try {
            co_await call_();
        } catch (const operation_cancelled&) {
            if (self.cancel_pending()) throw;
            failed(std::make_exception_ptr(std::logic_error(
                "a run of '" + name_ + "' threw operation_cancelled, but nobody had cancelled it; only checkpoints throw it")));
        } catch (...) {
            failed(std::current_exception());
        }
        if (!take_pending()) co_return;
        co_await this_task::yield();
    }
}

bool periodic_state::take_pending() noexcept {
    if (pending_ == 0 || finished()) return false;
    --pending_;
    ++runs_;
    if (finished()) end_ticks();
    return true;
}

void periodic_state::failed(const std::exception_ptr& error) noexcept {
    std::exception_ptr unreported = error;
    if (options_->on_error) {
        try {
            options_->on_error(error);
            return;
        } catch (...) {
            unreported = std::current_exception();
        }
    }
    this_loop().call_exception_handler(
        {.message = "a run of a periodic job failed; the job goes on", .exception = unreported, .task_name = name_});
}

bool periodic_state::finished() const noexcept {
    return stopped_ || (options_->max_runs > 0 && runs_ >= options_->max_runs);
}

std::chrono::nanoseconds periodic_state::draw_delay() noexcept {
    if (options_->jitter.count() <= 0) return std::chrono::nanoseconds(0);
    return to_nanoseconds(
        std::chrono::duration<double, std::nano>(jitter_.next() * static_cast<double>(options_->jitter.count())));
}

void periodic_state::stop() noexcept {
    stopped_ = true;
    pending_ = 0;
    end_ticks();
}

void periodic_state::end_ticks() noexcept {
    next_.reset();
    if (waiting_) waiting_->end_early();
}

namespace {

class fixed_rate final : public timetable {
public:
    fixed_rate(loop_clock::time_point start, std::chrono::nanoseconds period) noexcept
        : next_(after(start, period)), period_(period) {}
    [[nodiscard]] loop_clock::time_point next(const event_loop&) override { return next_; }
    [[nodiscard]] std::size_t take_due(const event_loop& loop, std::chrono::nanoseconds late, missed_ticks policy,
                                       std::size_t most) override {
        const auto missed = (loop.now() - late - next_) / period_; // besides the one that is due
        if (policy == missed_ticks::delay && missed > 0) {
            next_ = after(loop.now() - late, period_);
            return 1;
        }
        next_ = after(next_ + missed * period_, period_);
        return policy == missed_ticks::burst ? std::min(static_cast<std::size_t>(missed) + 1, most) : 1;
    }

private:
    loop_clock::time_point next_;
    std::chrono::nanoseconds period_;
};

} // namespace

std::unique_ptr<timetable> make_fixed_rate(std::chrono::nanoseconds period, std::chrono::nanoseconds jitter) {
    if (period.count() <= 0) throw std::invalid_argument("every: the period has to be positive");
    if (jitter.count() < 0 || jitter >= period)
        throw std::invalid_argument("every: the jitter has to be less than the period");
    return std::make_unique<fixed_rate>(require_open_loop("every").now(), period);
}

periodic_job start_periodic(std::unique_ptr<timetable> times, unique_function<task<>()> call, periodic_options options,
                            std::string_view default_name, std::source_location site) {
    if (options.name.empty()) options.name = default_name;
    auto state = std::make_shared<periodic_state>(std::move(times), std::move(call), std::move(options));
    state->expect_first(this_loop());
    const std::string_view name = state->name();
    any_task driver = spawn(periodic_state::drive(state), {.name = name, .site = site});
    return periodic_job(std::move(driver), std::move(state));
}

} // namespace detail

detail::periodic_state& periodic_job::periodic() const {
    if (!periodic_) detail::throw_logic_error("this periodic_job is empty");
    return *periodic_;
}
bool periodic_job::stop() const {
    if (periodic_ && done()) return false;
    periodic().stop();
    return true;
}
std::optional<loop_clock::time_point> periodic_job::next_run() const {
    return periodic().next();
}
std::size_t periodic_job::runs() const {
    return periodic().runs();
}
std::size_t periodic_job::running() const {
    return periodic().running();
}
std::size_t periodic_job::skipped() const {
    return periodic().skipped();
}

} // namespace eddy
