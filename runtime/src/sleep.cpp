#include <eddy/sleep.hpp>

#include <eddy/detail/task_context.hpp>

namespace eddy::detail {

bool sleep_operation::start() {
    scheduler& loop = task().loop();
    if (relative_ ? duration_.count() <= 0 : when_ <= loop.now()) {
        task().make_ready(); // exactly one tick, as a yield
        return false;
    }
    loop.arm(timer_, relative_ ? after(loop.now(), duration_) : when_);
    return false;
}

bool sleep_operation::abort() noexcept {
    task().loop().disarm(timer_); // without effect for a sleep of one tick, which keeps its place
    return true;
}

void sleep_operation::due(ready_node& n) {
    static_cast<owned_timer&>(n).operation.finish();
}

} // namespace eddy::detail
