// How a loop ends: rules R13, R14 and R16.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "loop_core.hpp"

namespace eddy::detail {
namespace {

constexpr auto after_grace = std::chrono::seconds(1);

std::chrono::nanoseconds remaining(const loop_core& c, loop_clock::time_point end) {
    const loop_clock::time_point now = c.now();
    return end <= now ? std::chrono::nanoseconds(0) : end - now;
}

} // namespace

bool loop_core::join_all_tasks(loop_clock::time_point grace_end) {
    if (gave_up_ || task_count_ == 0) return task_count_ == 0;
    root_->cancel_scope_now("the loop is shutting down");
    const auto none_left = [&] { return task_count_ == 0; };
    const auto join_until = [&](loop_clock::time_point limit) {
        // A `stop` during shutdown is not for us.
        while (!run_while_not(none_left, limit, nesting::allowed)) {
            if (now() >= limit) return false;
        }
        return true;
    };
    if (join_until(grace_end)) return true;
    report_and_break_shields();
    gave_up_ = !join_until(now() + after_grace);
    return !gave_up_;
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

bool loop_core::tear_down(bool abandon, loop_clock::time_point grace_end) {
    bool all_workers_ended = true;
    // Pools first: what an abandoned call throws can still be reported.
    const auto patience = abandon ? std::chrono::nanoseconds(0) : std::max<std::chrono::nanoseconds>(remaining(*this, grace_end), after_grace);
    for (worker_pool* pool : {default_pool.get(), blocking_pool.get()}) {
        if (!pool) continue;
        for (const std::string& call : pool->shutdown(patience)) {
            all_workers_ended = false;
            const std::string text = fmt::format("a worker is stuck and was let go: {}", call);
            report({.message = text, .exception = nullptr});
        }
    }
    const entered here(*this, nesting::allowed);
    closed_ = true;
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
    return all_workers_ended;
}

} // namespace eddy::detail
