#include <eddy/jobs/context.hpp>

#include <utility>

#include "client_core.hpp"
#include "message.hpp"

namespace eddy::jobs {

namespace detail {
namespace {

task_local<std::shared_ptr<const message>>& job_that_runs() {
    static task_local<std::shared_ptr<const message>> job;
    return job;
}

} // namespace

std::shared_ptr<const message> current_job() noexcept {
    return job_that_runs().get();
}
task_local_scope with_current_job(std::shared_ptr<const message> m) {
    return job_that_runs().with_value(std::move(m));
}

} // namespace detail

context::context(std::shared_ptr<const detail::message> m, std::stop_token stop, std::function<void(json, std::string)> progress)
    : message_(std::move(m)), stop_(std::move(stop)), progress_(std::move(progress)) {}

const std::string& context::id() const noexcept { return message_->id; }
const std::string& context::task() const noexcept { return message_->task; }
const std::string& context::queue() const noexcept { return message_->queue; }
const std::string& context::root_id() const noexcept { return message_->root_id; }
const std::string& context::parent_id() const noexcept { return message_->parent_id; }
const std::string& context::group_id() const noexcept { return message_->group; }
int context::retries() const noexcept { return message_->retries; }
bool context::redelivered() const noexcept { return message_->redelivered; }
const json& context::headers() const noexcept { return message_->headers; }

void context::progress(json meta, std::string state) {
    progress_(std::move(meta), std::move(state));
}
void context::retry(std::optional<std::chrono::nanoseconds> countdown, const std::string& reason) const {
    throw retry_request(reason, countdown);
}

} // namespace eddy::jobs
