#include <eddy/offload.hpp>

#include <eddy/event_loop.hpp>

#include "loop_core.hpp"

namespace eddy::detail {

offload_call::offload_call() noexcept : remote_node(&run_returned), stop_node_(*this) {}

void offload_call::send(task_context& caller, worker_pool* pool, bool with_token) {
    loop_core& core = core_of(caller.loop());
    loop_ = &core;
    mail_ = core.mail;
    pool_ = pool ? pool : &core.owner.default_pool();
    label = caller.name();
    site = caller.where();
    if (with_token) stop_ = std::stop_source();
    pool_->submit(*this); // from here on a worker may have it
    ++core.pool_jobs;
}

bool offload_call::withdraw() noexcept {
    if (!pool_->withdraw(*this)) return false;
    --core_of(*loop_).pool_jobs;
    return true;
}

void offload_call::request_stop() noexcept {
    loop_->make_ready(stop_node_);
}

void offload_call::stop_node::run_it(ready_node& n) {
    static_cast<stop_node&>(n).call.stop_.request_stop();
}

[[gnu::noinline]] void offload_call::execute() noexcept {
    try {
        call();
    } catch (const operation_cancelled&) {
        threw_cancelled_ = true;
        error = std::make_exception_ptr(std::logic_error("an offloaded function threw operation_cancelled, but nobody had cancelled it"));
    } catch (...) {
        error = std::current_exception();
    }
    const std::shared_ptr<mailbox> mail = std::move(mail_);
    if (!mail->post(*this)) undeliverable(); // after the post the call may be gone
}

void offload_call::run_returned(remote_node& n) {
    auto& c = static_cast<offload_call&>(n);
    --core_of(*c.loop_).pool_jobs;
    c.stop_node_.unlink();
    c.returned();
}

} // namespace eddy::detail
