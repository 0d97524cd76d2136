#include <eddy/detail/task_context.hpp>

#include <eddy/detail/promise.hpp>
#include <eddy/errors.hpp>

#include <algorithm>

namespace eddy::detail {

// --- operation

void operation::settle(state s) noexcept {
    state_ = s;
    task_->wait_ = nullptr;
    task_->make_ready();
}

// --- task_context

task_context::task_context() noexcept : ready_node(&run_step) {}
task_context::~task_context() = default;

void task_context::launch(scheduler& loop, task_owner* owner, scope_node& parent) noexcept {
    loop_ = &loop;
    owner_ = owner;
    id_ = loop.next_task_id_++;
    root_.attach(parent, *this);
    prev_task_ = loop.last_task_;
    (prev_task_ ? prev_task_->next_task_ : loop.first_task_) = this;
    loop.last_task_ = this;
    ++loop.task_count_;
    make_ready();
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
    if (--references_ > 0) return;
    report_unseen("task failed and nobody took its result");
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
    running_ = started_ = true;
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
    if (root_finished_) complete();
    here.task = nullptr;
}

void task_context::run_deferred(ready_node& n) {
    auto& t = static_cast<task_context&>(n);
    t.run = &run_step;
    operation& op = *t.wait_;
    thread_state& here = *t.loop_->thread_;
    here.task = &t;
    t.budget_ = budget_per_step - 1;
    bool finished = true;
    if (t.cancel_pending_) {
        op.state_ = operation::state::cancelled;
    } else {
        op.state_ = operation::state::waiting;
        try {
            finished = op.begin();
            if (finished) op.state_ = operation::state::done;
        } catch (...) {
            t.deferred_error_ = std::current_exception();
            op.state_ = operation::state::failed;
        }
    }
    if (finished) {
        t.wait_ = nullptr;
        t.step();
    }
    here.task = nullptr;
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
    if (owner_) owner_->child_finished(*this);
    owner_ = nullptr;
    while (join_operation_base* j = joiners_) {
        remove_joiner(*j);
        j->finish();
    }
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
    std::rethrow_exception(std::exchange(deferred_error_, nullptr));
}

std::string task_context::name() const {
    if (name_) return *name_;
    return "task-" + std::to_string(id_);
}

void task_context::set_name(std::string_view n) {
    if (n.empty())
        name_.reset();
    else
        name_ = std::make_unique<std::string>(n);
}

std::source_location task_context::where() const noexcept {
    // Files of the library itself: its public headers, installed or not, and its sources.
    constexpr auto in_library = [](std::string_view file) {
        return file.find("/include/eddy/") != std::string_view::npos || file.find("/coro/src/") != std::string_view::npos ||
               file.find("/runtime/src/") != std::string_view::npos || file.find("/io/src/") != std::string_view::npos ||
               file.find("/io/http/src/") != std::string_view::npos;
    };
    for (const promise_base* p = done_ ? nullptr : leaf_; p; p = p->parent) {
        if (p->await_site.line() != 0 && !in_library(p->await_site.file_name())) return p->await_site;
    }
    return spawn_site_;
}

void task_context::add_joiner(join_operation_base& j) noexcept {
    j.prev_joiner_ = last_joiner_;
    j.next_joiner_ = nullptr;
    (last_joiner_ ? last_joiner_->next_joiner_ : joiners_) = &j;
    last_joiner_ = &j;
}

void task_context::remove_joiner(join_operation_base& j) noexcept {
    (j.prev_joiner_ ? j.prev_joiner_->next_joiner_ : joiners_) = j.next_joiner_;
    (j.next_joiner_ ? j.next_joiner_->prev_joiner_ : last_joiner_) = j.prev_joiner_;
}

bool join_operation_base::try_now() {
    if (target_->done()) return true;
    if (target_ == current().task)
        throw std::logic_error("task '" + target_->name() + "' cannot await itself: it would wait for ever");
    return false;
}

} // namespace eddy::detail
