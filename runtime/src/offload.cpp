#include <eddy/offload.hpp>

#include <eddy/event_loop.hpp>

#include <fmt/format.h>

#include "loop_core.hpp"

namespace eddy::detail {

namespace {

thread_local offload_call* this_call = nullptr;

// Does a worker wait for this task, or for one that it is a child of?
bool serves_worker(const task_context& t) noexcept {
    for (const scope_node* s = &t.scope(); s; s = s->parent()) {
        if (s->host() && s->host()->serves_worker) return true;
    }
    return false;
}

} // namespace

// Out of line: a coroutine that moves between threads must not cache the address (trap T7).
offload_call* offload_call::current() noexcept {
    return this_call;
}

scope_node& offload_call::scope_for_tasks() const noexcept {
    return outlives_caller() ? loop_->root_scope() : caller_->scope();
}

void offload_call::report_starvation() const noexcept {
    if (!pool_->newly_starved()) return;
    loop_->report({.message = "all workers wait on the loop (in_loop), so that calls that are queued for it cannot "
                              "start: use a larger or a second pool",
                   .exception = nullptr,
                   .task_name = waited_for_by.name(),
                   .where = site});
}

offload_call::offload_call() noexcept : remote_node(&run_returned), stop_node_(*this) {}

void offload_call::send(task_context& caller, worker_pool* pool, bool with_token) {
    loop_core& core = core_of(caller.loop());
    loop_ = &core;
    mail_ = core.mail.get();
    caller_ = &caller;
    pool_ = pool ? pool : &core.owner.default_pool();
    const task_context& host = caller.named_host();
    waited_for_by.given_name = host.given_name();
    waited_for_by.id = host.id();
    site = caller.where();
    locals_ = caller.locals();
    if (with_token) stop_ = std::stop_source();
    for_worker_ = core.workers_waiting > 0 && serves_worker(caller);
    core.served_calls += for_worker_ ? 1 : 0;
    ++core.pool_jobs;
    try {
        pool_->submit(*this); // from here on a worker may have it
    } catch (...) {
        --core.pool_jobs;
        core.served_calls -= for_worker_ ? 1 : 0;
        throw;
    }
    core.calls.push_back(*this);
    if (for_worker_) report_starvation(); // the call cannot have come back: that takes the loop
}

bool offload_call::withdraw() noexcept {
    if (!pool_->withdraw(*this)) return false;
    core_of(*loop_).calls.erase(*this);
    --core_of(*loop_).pool_jobs;
    core_of(*loop_).served_calls -= for_worker_ ? 1 : 0;
    return true;
}

void offload_call::request_stop() noexcept {
    stop_asked_ = std::chrono::steady_clock::now();
    loop_->make_ready(stop_node_);
}

// A timeout or a cancellation that takes as long as the function on the worker surprises (O-04).
void offload_call::report_late() const noexcept {
    const auto late = std::chrono::steady_clock::now() - *stop_asked_;
    if (late < core_of(*loop_).slow_step_limit) return;
    const std::string text = fmt::format("cancelled, but its function on a worker took another {} ms: let it look at its "
                                         "std::stop_token, or use offload(abandon, f)",
                                         std::chrono::duration_cast<std::chrono::milliseconds>(late).count());
    loop_->report({.message = text, .exception = nullptr, .task_name = waited_for_by.name(), .where = site});
}

void offload_call::stop_node::run_it(ready_node& n) {
    static_cast<stop_node&>(n).call.stop_.request_stop();
}

[[gnu::noinline]] void offload_call::execute() noexcept {
    this_call = this;
    try {
        const locals_entered here(locals_);
        call();
    } catch (const operation_cancelled&) {
        threw_cancelled_ = true;
        error = std::make_exception_ptr(std::logic_error("an offloaded function threw operation_cancelled, but nobody had cancelled it"));
    } catch (...) {
        error = std::current_exception();
    }
    this_call = nullptr;
}

void offload_call::refuse() noexcept {
    error = std::make_exception_ptr(pool_stopped("offload: the worker pool was shut down before the call had a worker"));
}

// After the post the call may be gone, and the loop too while we still look whether it sleeps: so a reference is held.
void offload_call::deliver(std::shared_ptr<mailbox>& last) noexcept {
    if (last.get() != mail_) last = mail_->shared_from_this();
    if (last->post(*this)) return;
    kept_mail_ = nullptr; // `last` has it
    undeliverable();
}

void offload_call::run_returned(remote_node& n) {
    auto& c = static_cast<offload_call&>(n);
    loop_core& core = core_of(*c.loop_);
    if (decltype(core.calls)::linked(c)) core.calls.erase(c); // not if the loop had given it up
    --core.pool_jobs;
    core.served_calls -= c.for_worker_ ? 1 : 0;
    c.kept_mail_ = nullptr;
    c.stop_node_.unlink();
    if (c.stop_asked_ && !c.outlives_caller() && c.loop_->debug()) [[unlikely]]
        c.report_late();
    c.returned();
}

} // namespace eddy::detail
