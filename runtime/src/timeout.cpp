#include <eddy/timeout.hpp>

#include <eddy/detail/task_context.hpp>

#include <fmt/format.h>

namespace eddy {

timeout_error::timeout_error(std::chrono::nanoseconds limit, std::source_location site, std::string_view what)
    : std::runtime_error(fmt::format("{}{}timed out after {} ms (timeout set at {}:{})", what, what.empty() ? "" : " ",
                                     std::chrono::duration<double, std::milli>(limit).count(), site.file_name(), site.line())),
      limit_(limit), site_(site) {}

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
