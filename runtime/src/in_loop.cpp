#include <eddy/in_loop.hpp>

#include "loop_core.hpp"

namespace eddy::detail {
namespace {

offload_call& call_of_this_worker() {
    if (offload_call* const c = offload_call::current()) return *c;
    throw_logic_error(current().loop ? "in_loop: this is the loop's thread; call the function itself, or co_await it"
                                     : "in_loop: this thread runs no offloaded function; use call_soon_threadsafe or "
                                       "spawn_threadsafe from other threads");
}

} // namespace

loop_request::loop_request() : remote_node(&run_posted), ready_node(&run_ready), caller_(call_of_this_worker()), locals_(inherited_locals()) {}

// The loop may begin to shut down with the request in its mailbox, and then wait for this very worker: so look now and
// then whether it still will come to us. `withdraw` decides who has it.
void loop_request::run_and_wait() {
    constexpr auto look_again = std::chrono::milliseconds(20);
    const std::shared_ptr<mailbox> mail = caller_.mail();
    self_ = shared_from_this();
    const auto too_late = [&] { return mail->closing() || is_stopping(*pool_); };
    const char* const refusal = "in_loop: the loop, or the worker's pool, is shutting down";
    if (too_late() || !mail->post(*this)) {
        self_ = nullptr;
        throw closed_resource(refusal);
    }
    std::unique_lock lock(mutex_);
    while (state_ != state::settled) {
        if (changed_.wait_for(lock, look_again) == std::cv_status::no_timeout || state_ != state::posted || !too_late()) continue;
        state_ = state::withdrawn;
        throw closed_resource(refusal);
    }
    // Ours alone from here on: the loop lets go of the request later, but no longer of the error.
    const std::exception_ptr error = std::move(error_);
    lock.unlock();
    if (error) std::rethrow_exception(error);
}

// A step like others: timed, and in its turn.
void loop_request::run_posted(remote_node& n) {
    auto& r = static_cast<loop_request&>(n);
    current().loop->make_ready(r); // the call may be gone: the worker took the request back
}

void loop_request::run_ready(ready_node& n) {
    auto& r = static_cast<loop_request&>(n);
    const std::shared_ptr<loop_request> keep = std::move(r.self_);
    {
        const std::lock_guard lock(r.mutex_);
        if (r.state_ == state::withdrawn) return;
        r.state_ = state::started;
    }
    r.start();
}

void loop_request::start() {
    loop_core& core = core_of(caller_.loop());
    --core.pool_jobs; // the worker waits for us: virtual time may pass
    std::exception_ptr error;
    bool done = true;
    try {
        if (core.closed()) throw closed_resource("in_loop: the loop is shutting down");
        const locals_entered here(locals_);
        done = call();
    } catch (...) {
        error = std::current_exception();
    }
    if (done) settle(std::move(error)); // outside the handler, so that the worker is the last to hold the error
}

void loop_request::launch_task(task<> t) {
    auto* const made = new task_state<void>(std::move(t));
    made->serves_worker = true;
    waiting_.emplace(pool_);
    loop_core& core = core_of(caller_.loop());
    ++core.workers_waiting;
    if (core.served_calls > 0) caller_.report_starvation();
    static_cast<void>(launch(made, caller_.loop(), nullptr, caller_.scope_for_tasks(), {.name = "in_loop", .site = caller_.site}));
}

void loop_request::settle(std::exception_ptr error) noexcept {
    ++core_of(caller_.loop()).pool_jobs;
    if (waiting_) --core_of(caller_.loop()).workers_waiting;
    waiting_.reset();
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    state_ = state::settled;
    changed_.notify_one(); // with the lock: the worker may be gone right after it
}

} // namespace eddy::detail
