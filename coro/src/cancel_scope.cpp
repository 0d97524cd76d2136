#include <eddy/cancel_scope.hpp>

#include <eddy/this_task.hpp>

namespace eddy {
namespace {

const detail::scope_node::reason_ptr out_of_time = std::make_shared<const std::string>("deadline passed"); // made once, ahead of time

} // namespace

cancel_scope::cancel_scope() noexcept : timer_(&deadline_passed, *this), stop_node_(&stop_due, *this) {}
cancel_scope::cancel_scope(std::optional<time_point> deadline) noexcept : cancel_scope() {
    deadline_ = deadline;
}
cancel_scope::~cancel_scope() = default; // closed by the verb that opened it

bool cancel_scope::cancel(std::string_view reason) {
    return phase_ != phase::closed && cancel_scope_now(reason);
}

void cancel_scope::open(detail::task_context& host, bool shield) {
    if (phase_ != phase::fresh) detail::throw_logic_error("a cancel_scope is entered once; make a new one");
    shield_ = shield;
    enter(host);
    phase_ = phase::open;
    try {
        arm();
    } catch (...) {
        close();
        throw;
    }
}

void cancel_scope::close() noexcept {
    stop_node_.unlink();
    if (effective() && stop_) stop_->request_stop(); // users' code: it may move the deadline
    host()->loop().disarm(timer_);
    leave();
    phase_ = phase::closed;
}

void cancel_scope::reschedule(std::optional<time_point> deadline) {
    if (phase_ == phase::fresh) detail::throw_logic_error("reschedule: the scope has not been entered yet");
    if (phase_ == phase::closed) detail::throw_logic_error("reschedule: the scope is over");
    if (expired_) detail::throw_logic_error("reschedule: the deadline has passed already");
    host()->loop().disarm(timer_);
    deadline_ = deadline;
    arm();
}

// A deadline that has passed already takes its place in the ready list at once, so that it is there before whatever the
// body waits for; nothing is noticed before the loop gets its turn.
void cancel_scope::arm() {
    if (!deadline_ || *deadline_ == time_point::max()) return;
    detail::scheduler& loop = host()->loop();
    if (*deadline_ <= loop.now())
        loop.make_ready(timer_);
    else
        loop.arm(timer_, *deadline_);
}

std::stop_token cancel_scope::stop_token() {
    if (!stop_) {
        stop_.emplace();
        if (effective()) stop_->request_stop();
    }
    return stop_->get_token();
}

void cancel_scope::deadline_passed(detail::ready_node& n) {
    cancel_scope& s = static_cast<owned_timer&>(n).scope;
    s.expired_ = true;
    s.cancel_scope_now(out_of_time);
}

// Stop callbacks are users' code: they run from the ready list, not while the tree of scopes is being walked.
void cancel_scope::on_effective() noexcept {
    if (stop_ && host()) host()->loop().make_ready(stop_node_);
}

void cancel_scope::stop_due(detail::ready_node& n) {
    static_cast<owned_node&>(n).scope.stop_->request_stop();
}

namespace detail {

void throw_scope_cancelled(const cancel_scope& s) {
    std::string text = "the scope was cancelled before its body had a value";
    if (const auto reason = s.effective_reason()) text += ": " + *reason;
    throw child_cancelled(text);
}

} // namespace detail
} // namespace eddy
