#include <eddy/thread_channel.hpp>

#include <string>

#include "loop_core.hpp"

namespace eddy::detail {

thread_link::thread_link() : remote_node(&run_wake), mail_(this_loop().core().mail) {}

void thread_link::opened() noexcept {
    const std::lock_guard lock(mutex_);
    ++ends_;
}

void thread_link::closed(bool cancel_pump) noexcept {
    const std::lock_guard lock(mutex_);
    if (--ends_ > 0) return;
    cancel_pump_ = cancel_pump;
    post_wake();
}

void thread_link::pump_starts(any_task self) noexcept {
    ++core_of(self.context().loop()).external_work;
    pump_ = std::move(self);
    const std::lock_guard lock(mutex_);
    loop_thread_ = std::this_thread::get_id();
    if (cancel_pump_) pump_.cancel("the last thread_receiver was closed");
}

void thread_link::pump_ends(fate f) noexcept {
    --core_of(pump_.context().loop()).external_work;
    pump_ = {};
    const std::lock_guard lock(mutex_);
    fate_ = f;
    tell_threads();
}

void thread_link::tell_loop() noexcept {
    if (std::exchange(loop_waits_, false)) post_wake();
}

// With the lock, which also decides who posts: the node can be in the mailbox once.
void thread_link::post_wake() noexcept {
    if (self_) return;
    self_ = shared_from_this();
    if (mail_->post(*this)) return;
    self_ = nullptr;
    if (fate_ == fate::open) fate_ = fate::loop_closed;
    tell_threads();
}

void thread_link::run_wake(remote_node& n) {
    auto& l = static_cast<thread_link&>(n);
    std::shared_ptr<thread_link> keep;
    bool cancel = false;
    {
        const std::lock_guard lock(l.mutex_);
        keep = std::move(l.self_);
        cancel = l.cancel_pump_;
    }
    l.changed.set();
    if (cancel && l.pump_) l.pump_.cancel("the last thread_receiver was closed");
}

void thread_link::require_other_thread(const char* what) const {
    scheduler* const here = current().loop; // between its runs a loop is nobody's, and its thread is known by number only
    if (here ? core_of(*here).mail == mail_ : std::this_thread::get_id() == loop_thread_)
        throw_logic_error((std::string(what) + ": it would block the loop's own thread; use the channel's end itself there").c_str());
}

void thread_link::throw_fate(const char* what) const {
    if (fate_ == fate::broken) throw broken_resource(std::string(what) + ": all receivers of the channel are closed");
    if (fate_ == fate::failed) throw closed_resource(std::string(what) + ": the loop's side has failed, and told the loop's exception handler why");
    throw closed_resource(std::string(what) + ": the loop is shutting down");
}

thread_link::deadline deadline_in(std::chrono::nanoseconds d) noexcept {
    const auto now = std::chrono::steady_clock::now();
    if (d >= std::chrono::steady_clock::time_point::max() - now) return std::nullopt;
    return now + d;
}

void throw_empty_thread_end(const char* what) {
    throw closed_resource(std::string(what) + ": this end was closed (or moved from)");
}

} // namespace eddy::detail
