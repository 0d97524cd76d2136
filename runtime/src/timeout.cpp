#include <eddy/timeout.hpp>

#include <eddy/detail/task_context.hpp>

namespace eddy {

namespace detail {

loop_clock::time_point deadline_after(task_context& self, std::chrono::nanoseconds d) {
    return after(self.loop().now(), d);
}

void throw_deadline(const cancel_scope& s, std::chrono::nanoseconds d, std::source_location site) {
    if (s.expired()) throw timeout_error(d, site);
    throw_scope_cancelled(s);
}

} // namespace detail
} // namespace eddy
