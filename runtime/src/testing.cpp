#include <eddy/testing.hpp>

#include <dirent.h>

#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include <eddy/debug.hpp>
#include <eddy/detail/frame.hpp>

#include "loop_core.hpp"

namespace eddy::testing {
namespace {

using eddy::detail::core_of;

constexpr auto watchdog = std::chrono::seconds(60);

std::size_t open_descriptors() {
    std::size_t n = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), &::closedir);
    while (dir && ::readdir(dir.get())) ++n;
    return n;
}

std::optional<std::uint64_t> seed_from_environment() {
    const char* const e = std::getenv("EDDY_SHUFFLE_SEED");
    if (!e || !*e) return std::nullopt;
    return std::strtoull(e, nullptr, 10);
}

// Nothing can ever happen again: say so, then cancel the body, then everything, then give up.
class deadlock_breaker {
public:
    deadlock_breaker(event_loop& loop, std::vector<std::string>& problems) noexcept : loop_(loop), problems_(problems) {}
    void operator()() {
        const int round = rounds_++;
        if (round == 0) problems_.push_back("deadlock: nothing can happen any more\n" + format_tasks(loop_));
        if (round == 0) return cancel("main", "deadlock");
        if (round == 1) return cancel("", "deadlock");
        throw shutdown_timeout("the test is stuck: cancelling everything did not help");
    }

private:
    void cancel(std::string_view name, std::string_view reason) {
        for (const any_task& t : loop_.all_tasks()) {
            if (name.empty() || t.name() == name) t.cancel(reason);
        }
    }
    event_loop& loop_;
    std::vector<std::string>& problems_;
    int rounds_ = 0;
};

eddy::detail::virtual_clock& clock_of_this_loop(const char* what) {
    eddy::detail::virtual_clock* const c = core_of(eddy::detail::require_loop(what)).clock;
    if (!c) throw std::logic_error(std::string(what) + " needs a virtual clock: use it inside EDDY_TEST");
    return *c;
}

void run_body(task<> (*body)(), const run_options& options, test_report& report) {
    runner r(options);
    if (options.clock) options.clock->on_deadlock = deadlock_breaker(r.loop(), report.problems);
    r.loop().set_exception_handler([&](const error_context& e) {
        report.problems.push_back(fmt::format("unreported: {}{}{}{}", e.message, e.exception ? ": " : "",
                                              e.exception ? eddy::detail::describe(e.exception) : std::string(),
                                              e.task_name.empty() ? std::string() : fmt::format(" [task '{}']", e.task_name)));
    });
    callback_handle timer;
    if (!options.clock) {
        timer = r.loop().call_later(watchdog, [&] {
            report.problems.push_back("the test took longer than a minute\n" + format_tasks(r.loop()));
            for (const any_task& t : r.loop().all_tasks()) t.cancel("watchdog");
        });
    }
    try {
        r.run(body());
    } catch (...) {
        report.error = std::current_exception();
    }
    timer.cancel();
    try {
        r.close();
    } catch (...) {
        report.problems.push_back(eddy::detail::describe(std::current_exception()));
    }
}

} // namespace

std::vector<engine_kind> engines() {
    if (std::getenv("EDDY_ENGINE")) return {engine_kind::automatic};
    return {engine_kind::asio};
}

test_report run_test(task<> (*body)(), test_time time, engine_kind engine) {
    test_report report;
    eddy::detail::virtual_clock clock;
    run_options options;
    options.engine = engine;
    options.handle_signals = true;
    options.shuffle_seed = seed_from_environment();
    if (time == test_time::jumps) options.clock = &clock;
    const std::size_t frames = eddy::detail::live_frames();
    const std::size_t descriptors = open_descriptors();
    run_body(body, options, report);
    if (const std::size_t now = eddy::detail::live_frames(); now != frames)
        report.problems.push_back(fmt::format("leaked frames: {} before the test, {} after it", frames, now));
    if (const std::size_t now = open_descriptors(); now != descriptors)
        report.problems.push_back(fmt::format("leaked descriptors: {} before the test, {} after it", descriptors, now));
    return report;
}

manual_clock::manual_clock() : clock_(&clock_of_this_loop("manual_clock")), autojump_(std::exchange(clock_->autojump, false)) {}
manual_clock::~manual_clock() {
    clock_->autojump = autojump_;
}
loop_clock::time_point manual_clock::now() const noexcept {
    return clock_->now;
}

task<> manual_clock::advance(std::chrono::nanoseconds d) {
    const loop_clock::time_point target = clock_->now + d;
    co_await settle();
    for (;;) {
        const auto next = this_loop().next_deadline();
        if (!next || *next > target) break;
        if (*next > clock_->now) clock_->now = *next;
        co_await settle();
    }
    clock_->now = target;
    co_await settle();
}

namespace detail_kit {

bool settle_operation::start() {
    clock_of_this_loop("settle()").settlers.push_back(node_);
    return false;
}
bool settle_operation::abort() noexcept {
    node_.unlink();
    return true;
}
void settle_operation::settled(eddy::detail::ready_node& n) {
    static_cast<node&>(n).operation.finish();
}

} // namespace detail_kit
} // namespace eddy::testing
