// What a process_pool is made of. Its fork server is in process_pool_server.cpp, its workers in process_pool_workers.cpp, its calls in
// process_pool_calls.cpp, its end in process_pool_end.cpp.
#include "process_pool_core.hpp"

#include <sys/mman.h>

#include <stdexcept>
#include <string>

#include <eddy/errors.hpp>

namespace eddy::detail {

process_pool_core::process_pool_core(process_pool_options o)
    : options(o), permits_(static_cast<std::ptrdiff_t>(o.workers)) {
    if (o.preload) static_cast<void>(remote_at(o.preload));
    if (o.warm_up) static_cast<void>(remote_at(o.warm_up));
    no_calls_.set();
    buffers_.reserve(2 * o.workers);
}

process_pool_core::~process_pool_core() {
    if (page_) ::munmap(page_, page_size_);
}

void process_pool_core::bind() {
    scheduler* const here = current().loop;
    if (!bound_) loop_ = here->link();
    bound_ = true;
    if (*loop_ != here) throw std::logic_error("process_pool: it belongs to another loop, the one it was first used on");
}

void process_pool_core::throw_closed(const char* function) const {
    throw closed_resource(std::string("process_pool: it was closed before '") + function + "' was over");
}
void process_pool_core::expect_open(const char* function) const {
    if (closed_) throw closed_resource(std::string("process_pool: it is closed, and '") + function + "' was not called");
}

std::vector<int> process_pool_core::pids() const {
    std::vector<int> all;
    for (const auto& w : workers_) {
        if (w->pid != 0 && !w->ended.is_set()) all.push_back(w->pid);
    }
    return all;
}

process_pool_stats process_pool_core::stats() const noexcept {
    process_pool_stats s = counted_;
    s.workers = workers_.size();
    s.busy = busy_;
    s.waiting = permits_.waiting();
    return s;
}

std::vector<std::byte> process_pool_core::take_buffer() noexcept {
    if (buffers_.empty()) return {};
    std::vector<std::byte> b = std::move(buffers_.back());
    buffers_.pop_back();
    return b;
}
void process_pool_core::keep_buffer(std::vector<std::byte> b) noexcept {
    if (b.capacity() > 2 * most_inline || buffers_.size() == buffers_.capacity()) return;
    b.clear();
    buffers_.push_back(std::move(b));
}

} // namespace eddy::detail
