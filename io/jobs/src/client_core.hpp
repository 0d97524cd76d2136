// What a client is made of.
#pragma once

#include <eddy/task_local.hpp>

#include "broker.hpp"
#include "canvas.hpp"

namespace eddy::jobs::detail {

/// The job whose function sends, or null: what a function starts, with `spawn` or on a thread, belongs to its job as well.
[[nodiscard]] std::shared_ptr<const message> current_job() noexcept;
[[nodiscard]] task_local_scope with_current_job(std::shared_ptr<const message> m);

/// Sends what a plan says, in an order in which nothing is lost: sizes, groups, then messages.
task<> send_plan(broker_ptr to, plan p, std::chrono::nanoseconds ttl);
/// What was sent is taken off, so that the rest can be tried again.
task<> send_rest_of(broker_ptr to, plan& p, std::chrono::nanoseconds ttl);

/// The first half of it: what its messages need when they are there.
task<> send_preparations_of(broker_ptr to, plan& p, std::chrono::nanoseconds ttl);

class client_core {
public:
    client_core(broker_ptr b, const connect_options& o) : broker(std::move(b)), queue(o.queue), ttl(o.result_ttl) {}
    const broker_ptr broker;
    const std::string queue;
    const std::chrono::nanoseconds ttl;
    const std::string id = make_uuid(); // replies are asked for under this name
};

} // namespace eddy::jobs::detail
