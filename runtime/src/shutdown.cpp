// How a loop ends: rules R13, R14 and R16.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include <eddy/run.hpp>

#include "loop_core.hpp"

namespace eddy::detail {
namespace {

constexpr auto after_grace = std::chrono::seconds(1);

} // namespace

bool loop_core::join_all_tasks(loop_clock::time_point grace_end) {
    if (gave_up_ || task_count_ == 0) return task_count_ == 0;
    shutting_down = true;
    root_->cancel_scope_now("the loop is shutting down");
    const auto none_left = [&] { return task_count_ == 0; };
    let_cancelled_unwind();
    if (run_until_limit(none_left, grace_end)) return true;
    report_and_break_shields();
    gave_up_ = !run_until_limit(none_left, after(now(), after_grace));
    return !gave_up_;
}

// What only has to unwind does so however short the grace period is.
void loop_core::let_cancelled_unwind() {
    constexpr int most_ticks = 100;
    const entered here(*this, nesting::allowed);
    for (int i = 0; i < most_ticks && task_count_ > 0 && !ready_.empty(); ++i) tick_once(wait_policy::no);
}

void loop_core::report_and_break_shields() {
    for (task_context* t = first_task_; t; t = t->next_task()) {
        const std::string name = t->name();
        const std::string text = fmt::format("still there at the end of the grace period, waiting for {}; its shields are broken",
                                             t->wait() ? t->wait()->waits_for() : "its turn");
        report({.message = text, .exception = nullptr, .task_name = name, .where = t->where()});
    }
    for (task_context* t = first_task_; t; t = t->next_task()) {
        std::vector<scope_node*> inward;
        for (scope_node* s = &t->scope(); s; s = s == &t->root_scope() ? nullptr : s->parent()) inward.push_back(s);
        std::for_each(inward.rbegin(), inward.rend(), [](scope_node* s) { s->break_shield(); });
    }
}

// A callback that was accepted may spawn, and a task handed over by another thread is one: they start, cancelled, and are
// joined like the rest. Calls on workers come back through the mailbox, so the loop goes on meanwhile: a worker may itself
// wait for something that it had asked of us.
bool loop_core::finish_accepted(bool& joined, loop_clock::time_point grace_end) {
    refuses_posts = true;
    mail->begin_closing();
    if (joined) {
        shutting_down = true;
        root_->cancel_scope_now("the loop is shutting down");
        const loop_clock::time_point limit = std::max(grace_end, after(now(), after_grace));
        const auto all_done = [&] { return task_count_ == 0 && calls.empty() && ready_.empty() && mail->empty(); };
        static_cast<void>(run_until_limit(all_done, limit));
        joined = join_all_tasks(now());
    }
    const bool workers_ended = calls.empty();
    while (!calls.empty()) {
        offload_call& c = *calls.pop_front();
        c.let_go();
        const std::string text = fmt::format("a worker is stuck and was let go: {} (offloaded at {}:{})", c.waited_for_by.name(), c.site.file_name(), c.site.line());
        report({.message = text, .exception = nullptr});
    }
    const auto pools_end = std::chrono::steady_clock::now() + (workers_ended ? after_grace : std::chrono::seconds(0)); // of all of them (R16)
    for (worker_pool* pool : {default_pool.get(), blocking_pool.get(), look_up_pool.get()}) {
        const std::chrono::nanoseconds left = pools_end - std::chrono::steady_clock::now();
        if (pool) static_cast<void>(pool->shutdown(std::max(left, std::chrono::nanoseconds(0))));
    }
    return workers_ended;
}

void loop_core::tear_down(bool abandon) {
    const entered here(*this, nesting::allowed);
    closed_ = true;
    while (thread_result_base* const r = promised.front()) // other threads must not wait for tasks that are let go
        r->give_up(std::make_exception_ptr(shutdown_timeout("the loop was shut down while the task was stuck")));
    for (remote_node* n = mail->close(); n;) {
        remote_node* const next = n->next;
        n->run(*n);
        n = next;
    }
    while (!ready_.empty()) { // callbacks that had been accepted; stuck tasks stay where they are
        ready_node& n = ready_.pop_front();
        if (!abandon || !task_context::of(n)) n.run(n);
    }
    constexpr auto any_time = loop_clock::time_point::max();
    while (timer_node* n = timers_.pop_due(any_time)) callback_base::discard_if_callback(*n);
    default_pool.reset();
    blocking_pool.reset();
    look_up_pool.reset();
}

} // namespace eddy::detail
