#include <eddy/detail/scheduler.hpp>

#include <cstdio>

#include <fmt/format.h>

#include <eddy/detail/scope.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

[[gnu::noinline]] thread_state& current() noexcept {
    thread_local thread_state state;
    return state;
}

scheduler::scheduler() : root_(new root_scope_node) {}

scheduler::~scheduler() {
    disconnect();
    delete static_cast<root_scope_node*>(root_);
}

void print_report(const error_context& e) noexcept {
    try {
        std::string text = fmt::format("eddy: {}", e.message);
        if (e.exception) text += ": " + describe(e.exception);
        if (!e.task_name.empty()) {
            const std::string place = e.where.line() == 0 ? "" : fmt::format(" at {}:{}", e.where.file_name(), e.where.line());
            text += fmt::format(" [task '{}'{}]", e.task_name, place);
        }
        text += '\n';
        std::fputs(text.c_str(), stderr);
    } catch (...) {
        std::fputs("eddy: an error could not be reported: out of memory\n", stderr);
    }
}

scheduler& require_loop(const char* what) {
    if (scheduler* s = current().loop) return *s;
    throw std::logic_error(std::string(what) + " needs a running loop on this thread: call it inside run(), or use "
                                               "event_loop::spawn / loop_thread::call from here");
}

scheduler& require_open_loop(const char* what) {
    scheduler& s = require_loop(what);
    if (s.closed()) throw std::logic_error(std::string(what) + ": the event_loop is closed");
    return s;
}

} // namespace eddy::detail
