#include <eddy/task_group.hpp>

#include <algorithm>

namespace eddy {

void task_group::require_open() const {
    if (phase_ == phase::open) return;
    detail::throw_logic_error(phase_ == phase::fresh ? "task_group::spawn before the group was entered: use it inside with_task_group"
                                                     : "task_group::spawn after the group ended: its block is over");
}

void task_group::cancel(std::string_view reason) {
    if (phase_ != phase::over) scope().cancel_scope_now(reason);
}

void task_group::enter(detail::task_context& host) {
    if (phase_ != phase::fresh) detail::throw_logic_error("a task_group is entered once; make a new one");
    phase_ = phase::open;
    open(host);
}

void task_group::child_ended(detail::task_context& child) noexcept {
    if (std::exchange(child.on_probation, false)) {
        --starting_;
        return;
    }
    const bool failed = child.error() && !child.was_cancelled();
    if (failed) child_failed(child);
    // An error that nobody has seen is reported when the last handle goes: holding on to it would put that off.
    if (asked_ || !failed || child.seen()) remember(child);
}

void task_group::child_starts(detail::task_context& child, detail::start_state_base& state) noexcept {
    child.on_probation = true;
    ++starting_;
    state.child = any_task(&child);
    state.starting = &starting_;
}

void task_group::child_failed(detail::task_context& child) noexcept {
    child.mark_seen();
    child.retain();
    (last_failed_ ? last_failed_->next_failed : first_failed_) = &child;
    last_failed_ = &child;
    scope().cancel_scope_now("a task of the group failed");
}

// For `next_done`. A group that is never asked must not grow with every child that it ever had.
void task_group::remember(detail::task_context& child) noexcept {
    if (!asked_ && remembered_ >= most_remembered) {
        forgot_some_ = true;
        forget_ended();
    }
    if (forgot_some_) return;
    child.retain();
    child.kept_without_result = true;
    (last_ended_ ? last_ended_->next_ended : first_ended_) = &child;
    last_ended_ = &child;
    ++remembered_;
    if (reader_ && !std::exchange(woken_, true)) reader_->finish();
}

void task_group::forget_ended() noexcept {
    detail::task_context* child = std::exchange(first_ended_, nullptr); // results are users' objects: whole lists only
    last_ended_ = nullptr;
    remembered_ = 0;
    while (child) {
        detail::task_context* const next = std::exchange(child->next_ended, nullptr);
        child->release();
        child = next;
    }
}

// The group goes; a reader outside it may not have had its turn yet.
void task_group::dismiss_reader() noexcept {
    detail::next_done_operation* const r = std::exchange(reader_, nullptr);
    if (!r) return;
    if (first_ended_) r->last_.emplace(first_ended_);
    r->group_ = nullptr;
    if (!woken_) r->finish();
}

task_group::~task_group() {
    forget_ended();
}

void task_group::body_failed(std::exception_ptr error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const operation_cancelled&) {
        body_cancelled_ = true;
        own_cancellation_ = scope().catches();
    } catch (...) { // an error: reported together with the children's
    }
    body_error_ = std::move(error);
    scope().cancel_scope_now("the body of the group failed");
}

std::vector<std::exception_ptr> task_group::take_errors() {
    std::vector<std::exception_ptr> errors;
    if (!first_failed_ && !body_error_) return errors;
    try {
        std::size_t n = 1; // the body's
        for (const detail::task_context* child = first_failed_; child; child = child->next_failed) ++n;
        errors.reserve(n);
    } catch (const std::bad_alloc&) {
        report_failed();
        throw;
    }
    while (detail::task_context* child = first_failed_) {
        first_failed_ = std::exchange(child->next_failed, nullptr);
        errors.push_back(child->error());
        child->release();
    }
    last_failed_ = nullptr;
    // An error that came to the body through a child's handle and left it again is in the group once.
    if (body_error_ && !body_cancelled_ && std::find(errors.begin(), errors.end(), body_error_) == errors.end())
        errors.push_back(body_error_);
    return errors;
}

void task_group::throw_group(const std::vector<std::exception_ptr>& errors) const {
    try {
        throw exception_group(errors);
    } catch (const std::bad_alloc&) {
        for (const std::exception_ptr& e : errors)
            host().loop().report({.message = "a task of a group failed, and there is no memory for an exception_group", .exception = e});
        throw;
    }
}

// Without memory for an exception_group.
void task_group::report_failed() noexcept {
    while (detail::task_context* child = first_failed_) {
        first_failed_ = std::exchange(child->next_failed, nullptr);
        const std::string name = child->name();
        host().loop().report({.message = "a child of a task group failed, and there is no memory for an exception_group",
                              .exception = child->error(),
                              .task_name = name,
                              .where = child->where()});
        child->release();
    }
    last_failed_ = nullptr;
}

void task_group::leave() {
    const bool interrupted = cancelled_while_joining();
    const bool ends_here = own_cancellation_ && scope().catches();
    close();
    phase_ = phase::over;
    dismiss_reader();
    std::vector<std::exception_ptr> errors = take_errors();
    if (!errors.empty()) throw_group(errors);
    if (body_cancelled_ && !own_cancellation_) std::rethrow_exception(body_error_);
    if (interrupted || (body_cancelled_ && !ends_here)) host().throw_cancelled();
}

namespace detail {

bool next_done_operation::try_now() {
    task_group& g = *group_;
    if (g.reader_ && g.reader_ != this) throw busy_resource("task_group::next_done: another task waits for the next child already");
    if (g.forgot_some_)
        throw_logic_error("task_group::next_done: more than 256 children ended before the first call, and were let go; ask from the start");
    g.asked_ = true;
    return g.first_ended_ || g.alive() == g.starting_;
}

bool next_done_operation::start() noexcept {
    group_->reader_ = this;
    return false;
}

bool next_done_operation::abort() noexcept {
    if (group_) group_->reader_ = nullptr;
    return true;
}

std::optional<any_task> next_done_operation::take() noexcept {
    if (!group_) return std::move(last_);
    task_group& g = *group_;
    if (g.reader_ == this) {
        g.reader_ = nullptr;
        g.woken_ = false;
    }
    task_context* const child = g.first_ended_;
    if (!child) return std::nullopt;
    g.first_ended_ = std::exchange(child->next_ended, nullptr);
    if (!g.first_ended_) g.last_ended_ = nullptr;
    --g.remembered_;
    const any_task handle(child);
    child->release(); // the group's reference
    return handle;
}

void throw_group_cancelled(const scope_node& s) {
    std::string text = "the task group was cancelled before its body had a value";
    if (const auto reason = s.effective_reason()) text += ": " + *reason;
    throw child_cancelled(text);
}

} // namespace detail
} // namespace eddy
