#include <eddy/progress.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/mailbox.hpp>
#include <eddy/errors.hpp>
#include <eddy/sleep.hpp>

#include "loop_core.hpp"

namespace eddy {
namespace detail {

// Between threads that report and the loop. At most one report waits, so that a function may report as often as it likes.
class progress_link final : public report_target, public remote_node, public ready_node, public std::enable_shared_from_this<progress_link> {
public:
    explicit progress_link(unique_function<void(const progress_report&)> f)
        : remote_node(&run_posted), ready_node(&run_ready), mail_(mailbox_of(require_open_loop("progress_listener"))), heard_(std::move(f)), locals_(inherited_locals()) {}

    void report(std::uint64_t done, std::uint64_t total, std::string_view text) noexcept override {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        try {
            latest_.emplace(progress_report{done, total, std::string(text)});
        } catch (const std::bad_alloc&) { // the next one may have better luck
            return;
        }
        ++reported_;
        if (self_) return; // on its way already, and takes this one along
        self_ = shared_from_this();
        if (mail_->post(*this)) return;
        self_ = nullptr;
        heard_up_to_ = reported_; // the loop has gone
    }
    std::uint64_t reported() noexcept override {
        const std::lock_guard lock(mutex_);
        return reported_;
    }
    bool heard(std::uint64_t count) noexcept override {
        const std::lock_guard lock(mutex_);
        return closed_ || heard_up_to_ >= count;
    }

    /// Loop thread: nobody listens any more.
    void close() noexcept {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }

private:
    // A step like others: timed, and in its turn.
    static void run_posted(remote_node& n) { current().loop->make_ready(static_cast<progress_link&>(n)); }
    static void run_ready(ready_node& n) {
        auto& link = static_cast<progress_link&>(n);
        std::shared_ptr<progress_link> keep;
        std::optional<progress_report> p;
        std::uint64_t up_to = 0;
        {
            const std::lock_guard lock(link.mutex_);
            keep = std::move(link.self_);
            p.swap(link.latest_);
            up_to = link.reported_;
            if (link.closed_) return;
        }
        if (p) link.tell(*p);
        const std::lock_guard lock(link.mutex_);
        link.heard_up_to_ = up_to;
    }
    void tell(const progress_report& p) {
        const std::shared_ptr<progress_link> keep = shared_from_this(); // the function may destroy its listener
        try {
            const locals_entered here(locals_);
            heard_(p);
        } catch (...) {
            current().loop->report({.message = "a progress_listener failed", .exception = std::current_exception(), .task_name = {}, .where = {}});
        }
    }

    std::shared_ptr<mailbox> mail_; // outlives the loop, as late workers may
    unique_function<void(const progress_report&)> heard_;
    local_context locals_; // R11
    std::mutex mutex_;
    std::optional<progress_report> latest_;
    std::shared_ptr<progress_link> self_; // while it is in the mailbox or in the ready list
    std::uint64_t reported_ = 0;
    std::uint64_t heard_up_to_ = 0;
    bool closed_ = false;
};

namespace {

task_local<std::shared_ptr<report_target>>& target_of_task() {
    static task_local<std::shared_ptr<report_target>> target{nullptr};
    return target;
}

} // namespace

std::shared_ptr<report_target> current_report_target() noexcept {
    return locals_in_use.load(std::memory_order_relaxed) ? target_of_task().get() : nullptr;
}

task<> reports_heard(std::shared_ptr<report_target> target) {
    const std::uint64_t count = target->reported();
    while (!target->heard(count)) co_await shielded(sleep_for(std::chrono::nanoseconds(0)));
}

task_local_scope with_report_target(std::shared_ptr<report_target> target) {
    return target_of_task().with_value(std::move(target));
}

std::shared_ptr<progress_link> make_progress_link(unique_function<void(const progress_report&)> f) {
    return std::make_shared<progress_link>(std::move(f));
}

} // namespace detail

double progress_report::fraction() const noexcept {
    return total == 0 ? 0.0 : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
}

progress_listener::~progress_listener() {
    link_->close();
}

task_local_scope progress_listener::listen() {
    return detail::with_report_target(link_);
}

void report_progress(std::uint64_t done, std::uint64_t total, std::string_view text) noexcept {
    if (const std::shared_ptr<detail::report_target> target = detail::current_report_target()) target->report(done, total, text);
}

bool progress_wanted() noexcept {
    return detail::current_report_target() != nullptr;
}

} // namespace eddy
