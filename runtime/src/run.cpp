#include <eddy/run.hpp>

#include <csignal>
#include <cstdio>

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

/// Listens for SIGINT and SIGTERM while a `run` lasts.
class termination_watch {
public:
    termination_watch(loop_core& core, bool enabled) : core_(core) {
        if (!enabled) return;
        slot_ = &detail::acquire_signal_slot(core.mail->write_descriptor(), true);
        detail::watch_signal(*slot_, SIGINT);
        detail::watch_signal(*slot_, SIGTERM);
        core.signals = slot_;
    }
    termination_watch(const termination_watch&) = delete;
    termination_watch& operator=(const termination_watch&) = delete;
    ~termination_watch() {
        core_.on_signal = {};
        core_.signals = nullptr;
        if (slot_) detail::release_signal_slot(*slot_);
    }
    /// The signal that came; 0 if there is none.
    [[nodiscard]] int take() noexcept {
        const std::uint64_t pending = slot_ ? slot_->pending.exchange(0) : 0;
        if ((pending >> SIGINT & 1) != 0) return SIGINT;
        return (pending >> SIGTERM & 1) != 0 ? SIGTERM : 0;
    }

private:
    loop_core& core_;
    detail::signal_slot* slot_ = nullptr;
};

} // namespace

interrupted::interrupted(int signal) : std::runtime_error("interrupted by " + signal_name(signal)), signal_(signal) {}

namespace detail {

void require_no_loop() {
    if (current().loop)
        throw_logic_error("run() called on a thread that already runs a loop; use co_await, or loop_thread::call from a plain thread");
}

} // namespace detail

runner::runner(const run_options& options)
    : loop_(loop_options{.debug = options.debug, .engine = options.engine, .shuffle_seed = options.shuffle_seed, .clock = options.clock}),
      options_(options) {}

runner::~runner() {
    try {
        close();
    } catch (const std::exception& e) {
        fmt::print(stderr, "eddy: while a runner was destroyed: {}\n", e.what());
    }
}

// Until main is done. After a signal main is cancelled, and has until the end of the grace period; shields hold so long.
void runner::drive(detail::task_context& main) {
    loop_core& core = loop_.core();
    signal_ = 0;
    grace_end_.reset();
    termination_watch watch(core, options_.handle_signals);
    core.on_signal = [&] {
        const int s = watch.take();
        if (s == 0 || grace_end_) return;
        grace_end_ = detail::after(core.now(), options_.grace);
        if (main.root_scope().cancel_scope_now(signal_name(s))) signal_ = s; // else it had been cancelled by itself
    };
    const auto done = [&] { return main.done(); };
    const auto past_grace = [&] { return grace_end_ && core.now() >= *grace_end_; };
    while (!core.run_while_not([&] { return done() || grace_end_.has_value(); })) {} // `stop` is not for us
    if (!done() && grace_end_) {
        while (!core.run_while_not(done, grace_end_) && !past_grace()) {}
    }
    if (done()) return;
    static_cast<void>(core.join_all_tasks(*grace_end_));
    if (!done()) throw shutdown_timeout("the main task did not end within the grace period after a signal");
}

void runner::check_signal(const detail::task_context& main) const {
    if (signal_ != 0 && main.was_cancelled()) throw interrupted(signal_);
}

void runner::close() {
    if (loop_.is_closed()) return;
    loop_core& core = loop_.core();
    const termination_watch watch(core, options_.handle_signals && !grace_end_);
    loop_.close(grace_end_ ? *grace_end_ - core.now() : options_.grace);
}

namespace {

template <class F>
int report_escaped(F&& f) {
    try {
        return f();
    } catch (const interrupted& i) {
        return 128 + i.signal();
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
