#include <eddy/detail/scheduler.hpp>

#include <eddy/detail/scope.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

[[gnu::noinline]] thread_state& current() noexcept {
    thread_local thread_state state;
    return state;
}

scheduler::scheduler() noexcept : root_(new root_scope_node) {}

scheduler::~scheduler() {
    delete static_cast<root_scope_node*>(root_);
}

scheduler& require_loop(const char* what) {
    if (scheduler* s = current().loop) return *s;
    throw std::logic_error(std::string(what) + " needs a running loop on this thread: call it inside run(), or use "
                                               "event_loop::spawn / loop_thread::call from here");
}

} // namespace eddy::detail
