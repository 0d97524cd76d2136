#include <eddy/testing.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <eddy/debug.hpp>
#include <eddy/detail/frame.hpp>

#include "loop_core.hpp"
#include "native_engine.hpp"

namespace eddy::testing {
namespace {

using eddy::detail::core_of;

using std::chrono::steady_clock;

constexpr auto real_time_limit = std::chrono::seconds(60); // EDDY_TEST_REAL
constexpr auto to_unwind = std::chrono::seconds(10);       // after each step taken against a test that does not end

// In real time, for tests on the virtual clock: generous, since sanitizers and busy machines are slow.
std::chrono::seconds virtual_time_limit() {
    const char* const e = std::getenv("EDDY_TEST_LIMIT");
    const long seconds = e ? std::strtol(e, nullptr, 10) : 0;
    return std::chrono::seconds(seconds > 0 ? seconds : 240);
}

// A step that does not come back can be ended by nobody: say which test it is, by way of Catch's handler of SIGABRT.
void give_up(const std::string& text) {
    std::fputs(("eddy: a test is stuck: " + text + "\n").c_str(), stderr);
    std::abort();
}

/// A thread of io_uring's, which the kernel makes in our name and ends when it sees fit?
bool is_kernels_own(int directory, const char* entry) {
    const std::string path = std::string(entry) + "/comm";
    const int fd = ::openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    std::array<char, 4> start{};
    const ssize_t n = ::read(fd, start.data(), start.size());
    ::close(fd);
    return n == 4 && std::string_view(start.data(), start.size()) == "iou-";
}

std::size_t entries(const char* directory) {
    const bool of_threads = std::string_view(directory).ends_with("/task");
    std::size_t n = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory), &::closedir);
    while (dir) {
        const dirent* const e = ::readdir(dir.get());
        if (!e) break;
        if (!of_threads || !is_kernels_own(::dirfd(dir.get()), e->d_name)) ++n;
    }
    return n;
}

// ThreadSanitizer starts a thread of its own, some time after the program's start.
#if defined(__SANITIZE_THREAD__)
constexpr bool threads_can_be_counted = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool threads_can_be_counted = false;
#else
constexpr bool threads_can_be_counted = true;
#endif
#else
constexpr bool threads_can_be_counted = true;
#endif

/// What the process has of something, by the entries of a directory of /proc.
class possession {
public:
    possession(const char* name, const char* directory) : name_(name), directory_(directory), before_(entries(directory)) {}
    // A worker that was let go still holds the loop's mailbox for a moment after its last post, and a thread that was joined
    // is still listed: what looks like a leak is looked at again until it is gone, or until it has been there for too long.
    void check(std::vector<std::string>& problems) const {
        const auto patience = steady_clock::now() + std::chrono::seconds(2);
        std::size_t now = entries(directory_);
        while (now > before_ && steady_clock::now() < patience) {
            std::this_thread::yield();
            now = entries(directory_);
        }
        if (now > before_) problems.push_back(fmt::format("leaked {}: {} before the test, {} after it", name_, before_, now));
    }

private:
    const char* name_;
    const char* directory_;
    std::size_t before_;
};

std::optional<std::uint64_t> seed_from_environment() {
    const char* const e = std::getenv("EDDY_SHUFFLE_SEED");
    if (!e || !*e) return std::nullopt;
    return std::strtoull(e, nullptr, 10);
}

// The test will not end by itself: say so, then cancel the body, then everything, then give up.
class deadlock_breaker {
public:
    deadlock_breaker(event_loop& loop, std::vector<std::string>& problems, std::string problem)
        : loop_(loop), problems_(problems), problem_(std::move(problem)) {}
    void operator()() {
        const int round = rounds_++;
        if (round == 0) problems_.push_back(problem_ + "\n" + format_tasks(loop_));
        if (round == 0) return cancel("main", "deadlock");
        if (round == 1) return cancel("", "deadlock");
        if (round == 2) return core_of(eddy::detail::require_loop("a test")).report_and_break_shields();
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
    std::string problem_;
    int rounds_ = 0;
};

eddy::detail::virtual_clock& clock_of_this_loop(const char* what) {
    eddy::detail::virtual_clock* const c = core_of(eddy::detail::require_loop(what)).clock;
    if (!c) throw std::logic_error(std::string(what) + " needs a virtual clock: use it inside EDDY_TEST");
    return *c;
}

loop_clock::time_point later(loop_clock::time_point now, std::chrono::nanoseconds d) {
    if (d.count() < 0) throw std::invalid_argument("manual_clock: time does not go back");
    return eddy::detail::after(now, d);
}

void guard_virtual_time(eddy::detail::virtual_clock& clock, event_loop& loop, std::vector<std::string>& problems, std::chrono::seconds limit) {
    clock.on_deadlock = deadlock_breaker(loop, problems, "deadlock: nothing can happen any more");
    clock.overtime = steady_clock::now() + limit;
    clock.on_overtime = [&clock, breaker = deadlock_breaker(loop, problems, fmt::format("no end: the test has run for {} s of real time", limit.count()))]() mutable {
        clock.overtime = steady_clock::now() + to_unwind;
        breaker();
    };
}

void run_body(task<> (*body)(), const run_options& options, test_report& report) {
    runner r(options);
    const std::chrono::seconds limit = options.clock ? virtual_time_limit() : real_time_limit;
    eddy::detail::watchdog dog(limit + 6 * to_unwind, &give_up);
    dog.step_begins("its body", {});
    if (options.clock) guard_virtual_time(*options.clock, r.loop(), report.problems, limit);
    r.loop().set_exception_handler([&](const error_context& e) {
        report.problems.push_back(fmt::format("unreported: {}{}{}{}", e.message, e.exception ? ": " : "",
                                              e.exception ? eddy::detail::describe(e.exception) : std::string(),
                                              e.task_name.empty() ? std::string() : fmt::format(" [task '{}']", e.task_name)));
    });
    std::vector<callback_handle> timers;
    if (!options.clock) {
        timers.push_back(r.loop().call_later(limit, [&] {
            report.problems.push_back("the test took longer than a minute\n" + format_tasks(r.loop()));
            for (const any_task& t : r.loop().all_tasks()) t.cancel("watchdog");
        }));
        timers.push_back(r.loop().call_later(limit + to_unwind, [&] { r.loop().core().report_and_break_shields(); }));
    }
    try {
        r.run(body());
    } catch (...) {
        report.error = std::current_exception();
    }
    for (callback_handle& timer : timers) timer.cancel();
    try {
        r.close();
    } catch (...) {
        report.problems.push_back(eddy::detail::describe(std::current_exception()));
    }
}

} // namespace

std::vector<engine_kind> engines() {
    if (std::getenv("EDDY_ENGINE")) return {engine_kind::automatic};
    if (!eddy::detail::native_engine_available()) return {engine_kind::asio};
    return {engine_kind::native, engine_kind::asio};
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
    const possession descriptors("descriptors", "/proc/self/fd");
    const possession threads("threads", "/proc/self/task");
    run_body(body, options, report);
    if (const std::size_t now = eddy::detail::live_frames(); now != frames)
        report.problems.push_back(fmt::format("leaked frames: {} before the test, {} after it", frames, now));
    descriptors.check(report.problems);
    if (threads_can_be_counted) threads.check(report.problems);
    return report;
}

manual_clock::manual_clock() : clock_(&clock_of_this_loop("manual_clock")), autojump_(std::exchange(clock_->autojump, false)) {}
manual_clock::~manual_clock() {
    clock_->autojump = autojump_;
}
void manual_clock::hold(std::chrono::nanoseconds d) {
    clock_->now = later(clock_->now, d);
}
loop_clock::time_point manual_clock::now() const noexcept {
    return clock_->now;
}
std::chrono::system_clock::time_point manual_clock::wall_now() const noexcept {
    return clock_->wall();
}
void manual_clock::set_wall(std::chrono::system_clock::time_point t) noexcept {
    clock_->set_wall(t);
}

task<> manual_clock::pass(std::chrono::nanoseconds d) {
    const loop_clock::time_point target = later(clock_->now, d);
    co_await settle();
    for (;;) {
        const auto next = this_loop().next_deadline();
        if (!next || *next > target) break;
        if (*next > clock_->now) clock_->now = *next;
        co_await settle();
    }
    clock_->now = std::max(clock_->now, target); // another task may have let time pass meanwhile
    co_await settle();
}

void set_wall_clock(std::chrono::system_clock::time_point t) {
    clock_of_this_loop("set_wall_clock").set_wall(t);
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
