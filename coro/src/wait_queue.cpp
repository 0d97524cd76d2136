#include <eddy/detail/wait_queue.hpp>

#include <eddy/detail/task_context.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

void queued_operation::require_one_loop() const {
    const queued_operation* const first = queue_->front();
    if (!first || &first->task().loop() == &task().loop()) return;
    throw_logic_error("this mutex, event, queue or the like is waited for on another loop; such things belong to one loop, and "
                      "between loops there are call_soon_threadsafe and spawn_threadsafe");
}

} // namespace eddy::detail
