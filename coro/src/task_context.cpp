#include <eddy/detail/task_context.hpp>

#include <eddy/detail/promise.hpp>
#include <eddy/errors.hpp>

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace eddy::detail {

// --- operation

namespace {

// Too late to refuse it, and nobody to throw at: setting an event, say, cannot fail.
void report_foreign_wake(const task_context& t, std::string_view waits_for) noexcept {
    try {
        const std::string text = "a wait for '" + std::string(waits_for) + "' was ended by a thread that does not run its loop, which is a "
                                 "data race; use call_soon_threadsafe there";
        const std::string name = t.name();
        print_report({.message = text, .exception = nullptr, .task_name = name, .where = t.where()});
    } catch (const std::bad_alloc&) { // a report less
    }
}

} // namespace

void operation::settle(state s) noexcept {
    if (task_->loop().debug() && !task_->loop().on_own_thread()) [[unlikely]]
        report_foreign_wake(*task_, waits_for());
    state_ = s;
    task_->wait_ = nullptr;
    task_->run = &task_context::run_step; // after `begin_again` it is queued to begin
    task_->make_ready();
}

void operation::begin_again() noexcept {
    task_->defer(*this);
}

// --- task

namespace {

// The function of a frame by its first word, which is the same for all compilers we know: where it resumes.
std::string function_of(const void* frame) {
    void* resume = nullptr;
    std::memcpy(&resume, frame, sizeof resume);
    Dl_info info{};
    if (::dladdr(resume, &info) == 0 || !info.dli_sname) return "a coroutine";
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
    return name ? name.get() : info.dli_sname;
}

} // namespace

void note_never_awaited(const void* frame) noexcept {
    const thread_state& here = current();
    if (!here.loop || !here.loop->debug()) [[likely]]
        return;
    if (std::uncaught_exceptions() > 0 || (here.task && here.task->cancel_pending())) return;
    try {
        const std::string text = "a task was dropped without having been awaited, so that it never ran: " + function_of(frame);
        const std::string name = here.task ? here.task->name() : std::string();
        here.loop->report({.message = text, .exception = nullptr, .task_name = name, .where = here.task ? here.task->where() : std::source_location{}});
    } catch (const std::bad_alloc&) { // a report less
    }
}

void report_destructor() noexcept {
    const error_context e{.message = "the destructor of a result threw", .exception = std::current_exception()};
    if (scheduler* const loop = current().loop)
        loop->report(e);
    else
        print_report(e);
}

// --- task_context

task_context::task_context() noexcept : ready_node(&run_step) {}
task_context::~task_context() = default;

void task_context::launch(scheduler& loop, task_owner* owner, scope_node& parent) noexcept {
    loop_ = &loop;
    owner_ = owner;
    id_ = loop.next_task_id_++;
    locals_ = inherited_locals();
    root_.attach(parent, *this);
    prev_task_ = loop.last_task_;
    (prev_task_ ? prev_task_->next_task_ : loop.first_task_) = this;
    loop.last_task_ = this;
    ++loop.task_count_;
    make_ready();
    if (loop.observers_) [[unlikely]]
        loop.tell(task_event::spawned, *this);
}

void task_context::start_now() noexcept {
    unlink();
    thread_state& here = current();
    task_context* const outer = here.task;
    const bool outer_running = outer != nullptr && outer->running_;
    step();
    here.task = outer;
    if (outer) outer->running_ = outer_running;
}

void task_context::release() noexcept {
    if (--references_ > 0) {
        if (kept_without_result && references_ == 1 && done_) drop_result();
        return;
    }
    if (error_) [[unlikely]] {
        scheduler* const loop = home_ ? *home_ : nullptr;
        const bool at_shutdown = loop && loop->root_scope().effective();
        report_unseen(at_shutdown ? "task failed during shutdown" : "task failed and nobody took its result");
    }
    delete this;
}

void task_context::report_unseen(std::string_view message) noexcept {
    if (!error_ || cancelled_ || std::exchange(seen_, true)) return;
    const std::string task_name = name();
    const error_context e{.message = message, .exception = error_, .task_name = task_name, .where = where()};
    if (scheduler* const loop = *home_)
        loop->report(e);
    else
        print_report(e);
}

void task_context::run_step(ready_node& n) {
    static_cast<task_context&>(n).step();
}

// One step: resumes the coroutine that waited, then whatever the coroutines of this task hand to each other.
void task_context::step() noexcept {
    thread_state& here = *loop_->thread_;
    here.task = this;
    resume(here);
}

void task_context::resume(thread_state& here) noexcept {
    running_ = started_ = true;
    scheduler& loop = *loop_;
    if (loop.observers_) [[unlikely]]
        loop.tell(task_event::step_begins, *this);
    budget_ = budget_per_step;
    if (operation* op = std::exchange(wait_, nullptr)) { // a yield: the trip through the ready list was the wait
        if (op->state_ == operation::state::waiting) op->state_ = operation::state::done;
    }
    std::coroutine_handle<> h = std::exchange(next_, nullptr);
    while (h) {
        h.resume();
        // A coroutine that suspended on an operation left its handle for the next step; see `suspend`.
        if (wait_ || linked()) break;
        h = std::exchange(next_, nullptr);
    }
    running_ = false;
    if (loop.observers_) [[unlikely]]
        return end_observed_step(here);
    if (root_finished_) complete();
    here.task = nullptr;
}

void task_context::end_observed_step(thread_state& here) noexcept {
    scheduler& loop = *loop_;
    retain();
    if (root_finished_) complete();
    loop.tell(task_event::step_ends, *this);
    release();
    here.task = nullptr;
}

void task_context::run_deferred(ready_node& n) {
    auto& t = static_cast<task_context&>(n);
    t.run = &run_step;
    operation& op = *t.wait_;
    thread_state& here = *t.loop_->thread_;
    here.task = &t;
    t.budget_ = budget_per_step;
    bool finished = true;
    if (t.cancel_pending_) {
        op.state_ = op.cancelled_unstarted();
        finished = op.state_ != operation::state::aborting;
    } else {
        op.state_ = operation::state::waiting;
        try {
            finished = op.begin();
            if (finished) op.state_ = operation::state::done;
        } catch (...) {
            t.error_ = std::current_exception();
            op.state_ = operation::state::failed;
        }
    }
    if (!finished) {
        here.task = nullptr;
        return;
    }
    t.wait_ = nullptr;
    t.resume(here);
}

void task_context::defer(operation& op) noexcept {
    op.state_ = operation::state::deferred;
    run = &run_deferred;
    make_ready();
}

void task_context::complete() noexcept {
    done_ = true;
    collect();
    if (error_) home_ = loop_->link();
    if (error_) { // a cancellation that leaves a task is its end only if the task was cancelled
        try {
            std::rethrow_exception(error_);
        } catch (const operation_cancelled&) {
            if (root_.effective())
                cancelled_ = true;
            else
                error_ = std::make_exception_ptr(std::logic_error(
                    "task '" + name() + "' ended with operation_cancelled, but nobody had cancelled it; only checkpoints throw it"));
        } catch (...) { // an ordinary failure
        }
    }
    destroy_frame();
    root_.detach();
    (prev_task_ ? prev_task_->next_task_ : loop_->first_task_) = next_task_;
    (next_task_ ? next_task_->prev_task_ : loop_->last_task_) = prev_task_;
    prev_task_ = next_task_ = nullptr;
    --loop_->task_count_;
    if (loop_->observers_) [[unlikely]]
        loop_->tell(task_event::ended, *this);
    if (owner_) owner_->child_finished(*this);
    owner_ = nullptr;
    while (task_watcher* w = watchers_.pop_front()) w->ended(*w);
    release();
}

void task_context::deliver_cancellation() noexcept {
    cancel_pending_ = true;
    if (!wait_ || wait_->state_ != operation::state::waiting) return;
    operation& op = *wait_;
    op.state_ = operation::state::aborting;
    if (!op.abort()) return;
    interrupted_ = true;
    op.settle(operation::state::cancelled);
}

std::shared_ptr<const std::string> task_context::note_cancelled() noexcept {
    interrupted_ = true;
    if (++deliveries_ == suspicious_deliveries && loop_->debug()) [[unlikely]] {
        const std::string task_name = name();
        loop_->report({.message = "cancelled a thousand times and still going on: it swallows operation_cancelled; let it pass",
                       .exception = nullptr,
                       .task_name = task_name,
                       .where = where()});
    }
    return scope_->effective_reason();
}

void task_context::throw_cancelled(std::size_t partial) {
    throw operation_cancelled(note_cancelled(), partial);
}

void task_context::rethrow_deferred_error() {
    std::rethrow_exception(std::exchange(error_, nullptr));
}

std::string task_context::name() const {
    const std::string_view given = given_name();
    return given.empty() ? "task-" + std::to_string(id_) : std::string(given);
}

const task_context& task_context::principal() const noexcept {
    const task_context* const host = stands_for_host && owner_ ? owner_->on_behalf_of() : nullptr;
    return host ? host->principal() : *this;
}

bool task_context::in_flight(int levels) const noexcept {
    if (done_) return false;
    return linked() || (levels > 0 && scope_->any_child_in_flight(levels - 1));
}

const task_context& task_context::named_host() const noexcept {
    const task_context* const host = given_name().empty() && owner_ ? owner_->on_behalf_of() : nullptr;
    return host ? host->named_host() : *this;
}

void task_context::set_name(std::string_view n) {
    if (n.empty())
        name_.reset();
    else
        name_ = std::make_unique<std::string>(n);
}

namespace {

// Files of the library itself: its public headers, installed or not, and its sources beside this one.
bool in_library(std::string_view file) noexcept {
    constexpr std::string_view here = std::source_location::current().file_name();
    constexpr std::string_view root = here.substr(0, here.rfind("coro/src/"));
    if (file.find("/include/eddy/") != std::string_view::npos) return true;
    if (!file.starts_with(root)) return false;
    file.remove_prefix(root.size());
    return file.starts_with("coro/src/") || file.starts_with("runtime/src/") || file.starts_with("io/src/") || file.starts_with("io/http/src/");
}

} // namespace

std::source_location task_context::where() const noexcept {
    for (const promise_base* p = done_ ? nullptr : leaf_; p; p = p->parent) {
        if (p->await_site.line() != 0 && !in_library(p->await_site.file_name())) return p->await_site;
    }
    const task_context* const host = owner_ ? owner_->on_behalf_of() : nullptr;
    const bool known = spawn_site_.line() != 0 && !in_library(spawn_site_.file_name());
    if (!known && host) return host->where();
    return known ? spawn_site_ : std::source_location{};
}

std::vector<std::source_location> task_context::await_sites() const {
    std::vector<std::source_location> sites;
    for (const promise_base* p = done_ ? nullptr : leaf_; p; p = p->parent) {
        if (p->await_site.line() != 0 && !in_library(p->await_site.file_name())) sites.push_back(p->await_site);
    }
    return sites;
}

void require_awaitable_here(const task_context& t) {
    const thread_state& here = current();
    if (&t == here.task) throw std::logic_error("task '" + t.name() + "' cannot await itself: it would wait for ever");
    if (&t.loop() != here.loop)
        throw std::logic_error("task '" + t.name() + "' belongs to another loop; await it there, or use spawn_threadsafe and thread_future");
}

bool join_operation_base::try_now() {
    if (!target_) throw_logic_error("this operation is empty (it was moved from)");
    if (target_->done()) return true;
    require_awaitable_here(*target_);
    return false;
}

} // namespace eddy::detail
