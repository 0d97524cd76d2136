// progress: how far a background function has come, told from where it runs to where it was called.
//
//     progress_listener listener([&](const progress_report& p) { bar.draw(p.done, p.total); });   // runs on the loop
//     auto listening = listener.listen();                                                   // for what this task calls now
//     co_await offload([] { for (int i = 0; i < 100; ++i) { step(i); report_progress(i + 1, 100); } });
//
// The function reports the same way wherever it runs: in a task, on a worker thread, in another process, in a job. It needs
// no parameter for that: the listener is a task-local of the caller, which `spawn` and `offload` hand on.
//
// Reports are for people, not for counting: of those that come faster than the loop can listen, the last one of each batch is
// heard. The last report of a call is always heard, unless its listener is gone: with `background` before the await of the call
// returns, on the loop, on a thread and in a process. A job's reports are looked at now and then, and its end takes their place: what it
// reported in its last moments need not be heard.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <eddy/detail/function.hpp>
#include <eddy/task.hpp>
#include <eddy/task_local.hpp>

namespace eddy {

/// What was reported. `total` is 0 where the function does not know it.
struct progress_report {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    std::string text = {};
    /// done / total within [0, 1]; 0 if the total is not known.
    [[nodiscard]] double fraction() const noexcept;
};

namespace detail {
class progress_link;
} // namespace detail

/// Hears reports. Made, used and destroyed on the loop's thread; what is reported after it is gone is dropped.
class progress_listener {
public:
    /// `f(const progress_report&)` runs on the loop, as a callback with the task-locals of this place (R11); what it throws goes to
    /// the loop's exception handler. It may destroy the listener. Throws `std::logic_error` where no loop runs.
    template <class F>
    explicit progress_listener(F f);
    progress_listener(const progress_listener&) = delete;
    progress_listener& operator=(const progress_listener&) = delete;
    ~progress_listener();

    /// Until the returned object goes, what the current task does and starts reports here.
    [[nodiscard]] task_local_scope listen();

private:
    std::shared_ptr<detail::progress_link> link_;
};

/// Tells whoever listens to the current task or call that `done` of `total` are done. From any thread: a task, a function that
/// `offload` runs, one in a `process_pool` or a job. Does nothing where nobody listens, and never waits. On the loop's own
/// thread the listener is called in the next tick. Without memory the report is lost, not the function.
void report_progress(std::uint64_t done, std::uint64_t total = 0, std::string_view text = {}) noexcept;
/// Does anybody listen? For a function whose report costs something to make.
[[nodiscard]] bool progress_wanted() noexcept;

// --- implementation

namespace detail {

/// Where reports of the current task or call go. Reports may come from any thread.
class report_target {
public:
    report_target() = default;
    report_target(const report_target&) = delete;
    report_target& operator=(const report_target&) = delete;
    virtual ~report_target() = default;
    virtual void report(std::uint64_t done, std::uint64_t total, std::string_view text) noexcept = 0;
    /// How many reports there were so far; and have so many been heard, or never will?
    [[nodiscard]] virtual std::uint64_t reported() noexcept { return 0; }
    [[nodiscard]] virtual bool heard(std::uint64_t) noexcept { return true; }
};

/// Awaitable: the target has heard what was reported until now. Not cancelled: the call whose end it is has its result (R2).
task<> reports_heard(std::shared_ptr<report_target> target);
/// Awaitable: the call, and then its reports.
template <class R>
task<R> with_reports_heard(task<R> call, std::shared_ptr<report_target> target);

/// Where the current task or call reports to, or null. A process or a job sets one that sends the reports on.
[[nodiscard]] std::shared_ptr<report_target> current_report_target() noexcept;
/// Until the returned object goes, reports of the current task or call go to `target`.
[[nodiscard]] task_local_scope with_report_target(std::shared_ptr<report_target> target);

[[nodiscard]] std::shared_ptr<progress_link> make_progress_link(unique_function<void(const progress_report&)> f);

} // namespace detail

template <class R>
task<R> detail::with_reports_heard(task<R> call, std::shared_ptr<report_target> target) {
    std::exception_ptr failed; // or cancelled
    if constexpr (std::is_void_v<R>) {
        try {
            co_await std::move(call);
        } catch (...) {
            failed = std::current_exception();
        }
        co_await reports_heard(target);
        if (failed) std::rethrow_exception(failed);
    } else {
        using kept = std::conditional_t<std::is_reference_v<R>, std::reference_wrapper<std::remove_reference_t<R>>, R>;
        std::optional<kept> value;
        try {
            value.emplace(co_await std::move(call));
        } catch (...) {
            failed = std::current_exception();
        }
        co_await reports_heard(target);
        if (failed) std::rethrow_exception(failed);
        co_return static_cast<R>(*std::move(value));
    }
}

template <class F>
progress_listener::progress_listener(F f) : link_(detail::make_progress_link(detail::unique_function<void(const progress_report&)>(std::move(f)))) {}

} // namespace eddy
