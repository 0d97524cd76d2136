#include <eddy/run.hpp>

#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "loop_core.hpp"

namespace eddy {
namespace {

using detail::loop_core;

std::string signal_name(int n) {
    switch (n) {
    case SIGINT: return "SIGINT";
    case SIGTERM: return "SIGTERM";
    default: return fmt::format("signal {}", n);
    }
}

} // namespace

interrupted::interrupted(int signal) : std::runtime_error("interrupted by " + signal_name(signal)), signal_(signal) {}

namespace detail {

void require_no_loop() {
    if (current().loop)
        throw_logic_error("run() called on a thread that already runs a loop; use co_await, or loop_thread::call from a plain thread");
}

} // namespace detail

/// Listens for SIGINT and SIGTERM. The second of them, in a run or in the shutdown after it, kills the process.
class runner::termination_watch final : public detail::signal_listener {
public:
    explicit termination_watch(loop_core& core)
        : signal_listener(core.mail, true), core_(core) {
        detail::watch_signal(slot(), SIGINT);
        detail::watch_signal(slot(), SIGTERM);
        core.signal_listeners.push_back(*this);
    }
    termination_watch(const termination_watch&) = delete;
    termination_watch& operator=(const termination_watch&) = delete;
    ~termination_watch() { core_.signal_listeners.erase(*this); }
    /// The signal that came; 0 if there is none.
    [[nodiscard]] int take_signal() noexcept {
        const std::uint64_t pending = take();
        if ((pending & detail::signal_bit(SIGINT)) != 0) return SIGINT;
        return (pending & detail::signal_bit(SIGTERM)) != 0 ? SIGTERM : 0;
    }
    void came() override {
        if (on_signal)
            on_signal();
        else
            static_cast<void>(take()); // the loop is shutting down anyway
    }
    detail::unique_function<void()> on_signal;

private:
    loop_core& core_;
};

runner::runner(const run_options& options)
    : loop_(loop_options{.debug = options.debug, .engine = options.engine, .shuffle_seed = options.shuffle_seed, .busy_poll = options.busy_poll, .clock = options.clock, .slow_step = options.slow_step}),
      options_(options) {}

runner::~runner() {
    try {
        close();
    } catch (const std::exception& e) {
        fmt::print(stderr, "eddy: while a runner was destroyed: {}\n", e.what());
    }
}

void runner::require_usable() const {
    detail::require_no_loop();
    if (gave_up_) detail::throw_logic_error("runner::run: an earlier run gave up on stuck tasks; make a new runner");
}

// Until main is done. After a signal main is cancelled, and has until the end of the grace period; shields hold so long.
void runner::drive(detail::task_context& main) {
    loop_core& core = loop_.core();
    signal_ = 0;
    grace_end_.reset();
    core.shutting_down = false;
    if (options_.handle_signals && !watch_) watch_ = std::make_unique<termination_watch>(core);
    const auto signal_came = [&] {
        const int s = watch_->take_signal();
        if (s == 0 || grace_end_) return;
        grace_end_ = detail::after(core.now(), options_.grace);
        core.shutting_down = true;
        if (main.root_scope().cancel_scope_now(signal_name(s))) signal_ = s; // else it had been cancelled by itself
    };
    if (watch_) watch_->on_signal = std::ref(signal_came);
    const struct settle_at_end {
        runner& r;
        ~settle_at_end() { r.settle_watch(); }
    } at_end{*this};
    const auto done = [&] { return main.done(); };
    const auto past_grace = [&] { return grace_end_ && core.now() >= *grace_end_; };
    while (!core.run_while_not([&] { return done() || grace_end_.has_value(); })) {} // `stop` is not for us
    if (!done() && grace_end_) {
        while (!core.run_while_not(done, grace_end_) && !past_grace()) {}
    }
    if (done()) return;
    static_cast<void>(core.join_all_tasks(*grace_end_));
    if (done()) return;
    gave_up_ = true;
    throw shutdown_timeout("the main task did not end within the grace period after " + signal_name(signal_), signal_);
}

// Between runs the previous dispositions are back, unless shutting down has begun.
void runner::settle_watch() noexcept {
    if (!watch_) return;
    if (last_run_ || grace_end_) {
        watch_->on_signal = {};
    } else {
        const int unseen = watch_->take_signal(); // came in the tick in which main ended
        watch_.reset();
        if (unseen != 0) ::raise(unseen); // for whoever handles it between two runs
    }
}

void runner::check_signal(const detail::task_context& main) const {
    if (signal_ != 0 && main.was_cancelled()) throw interrupted(signal_);
}

void runner::close() {
    if (loop_.is_closed()) return;
    loop_core& core = loop_.core();
    if (options_.handle_signals && !watch_) watch_ = std::make_unique<termination_watch>(core);
    const struct stop_watching_at_end {
        runner& r;
        ~stop_watching_at_end() { r.watch_.reset(); }
    } at_end{*this};
    std::chrono::nanoseconds grace = options_.grace;
    if (grace_end_) grace = *grace_end_ > core.now() ? *grace_end_ - core.now() : std::chrono::nanoseconds(0);
    try {
        loop_.close(grace);
    } catch (const shutdown_timeout& e) {
        if (signal_ == 0) throw;
        throw shutdown_timeout(e.what(), signal_);
    }
}

namespace {

template <class F>
int report_escaped(F&& f) {
    try {
        return f();
    } catch (const interrupted& i) {
        return 128 + i.signal();
    } catch (const shutdown_timeout& e) {
        fmt::print(stderr, "eddy: {}\n", e.what());
        return e.signal() != 0 ? 128 + e.signal() : 1;
    } catch (...) {
        fmt::print(stderr, "eddy: the main task failed: {}\n", detail::describe(std::current_exception()));
        return 1;
    }
}

} // namespace

int run_main(task<int> main, const run_options& options) {
    return report_escaped([&] { return run(std::move(main), options); });
}

int run_main(task<void> main, const run_options& options) {
    return report_escaped([&] {
        run(std::move(main), options);
        return 0;
    });
}

} // namespace eddy
