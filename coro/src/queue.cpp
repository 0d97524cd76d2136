#include <eddy/queue.hpp>

#include <eddy/detail/scheduler.hpp>

namespace eddy {

void queue_token::finish() noexcept {
    try {
        done_(queue_);
    } catch (...) {
        const error_context e{.message = "an item of a queue was counted as done", .exception = std::current_exception()};
        if (detail::scheduler* const loop = detail::current().loop)
            loop->report(e);
        else
            detail::print_report(e);
    }
}

} // namespace eddy
