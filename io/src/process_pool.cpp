#include <eddy/process_pool.hpp>

#include <signal.h>

#include <algorithm>
#include <thread>

#include "process_pool_core.hpp"

namespace eddy {

worker_died::worker_died(std::string function, int pid, exit_status status)
    : std::runtime_error("process_pool: the worker that ran '" + function + "' (process " + std::to_string(pid) + ") died: " + (status.unknown() ? "its fork server has ended" : status.to_string()) +
                         (status.signal() == SIGKILL ? "; nobody here sent that: out of memory?" : "")),
      function_(std::move(function)), pid_(pid), status_(status) {}

memory_limit_error::memory_limit_error(std::string_view function, std::uint64_t limit)
    : what_(std::make_shared<const std::string>("process_pool: '" + std::string(function) + "' needs more memory than its limit of " + std::to_string(limit) + " bytes")) {}

namespace {

process_pool_options with_workers(std::size_t n) {
    process_pool_options o;
    o.workers = n;
    return o;
}

} // namespace

process_pool::process_pool(std::size_t workers) : process_pool(with_workers(workers)) {}

process_pool::process_pool(process_pool_options options) {
    if (options.workers == 0) options.workers = std::max(1U, std::thread::hardware_concurrency());
    core_ = std::make_shared<detail::process_pool_core>(options);
}

process_pool& process_pool::operator=(process_pool&& o) noexcept {
    if (this == &o) return *this;
    if (core_) core_->let_go();
    core_ = std::move(o.core_);
    return *this;
}

process_pool::~process_pool() {
    if (core_) core_->let_go();
}

detail::process_pool_core& process_pool::core() const {
    if (!core_) throw std::logic_error("this process_pool object has been moved from");
    return *core_;
}

task<> process_pool::start() {
    static_cast<void>(core());
    return detail::process_pool_core::start_all(core_);
}
task<> process_pool::close() {
    static_cast<void>(core());
    return detail::process_pool_core::close_within(core_, std::nullopt);
}
task<> process_pool::close_within(std::chrono::nanoseconds deadline) {
    static_cast<void>(core());
    return detail::process_pool_core::close_within(core_, deadline);
}

void process_pool::on_log(detail::unique_function<void(const worker_log&)> handler) {
    core().log_handler = std::move(handler);
}
process_pool_stats process_pool::stats() const noexcept {
    return core_ ? core_->stats() : process_pool_stats{};
}
std::size_t process_pool::size() const noexcept {
    return core_ ? core_->options.workers : 0;
}
std::vector<int> process_pool::worker_pids() const {
    return core().pids();
}

} // namespace eddy
