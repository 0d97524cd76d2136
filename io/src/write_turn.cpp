#include <eddy/detail/write_turn.hpp>

#include <utility>

#include <eddy/detail/task_context.hpp>

namespace eddy::detail {

bool turn_operation::try_now() const {
    if (!core_->is_open()) throw_closed("write to");
    if (core_->is_write_shut()) throw_shut("write to");
    return false;
}

bool turn_operation::drive() {
    if (!refused()) driven_ = held_ = true;
    return true;
}

void turn_operation::wake() noexcept {
    if (turn_wait* const w = std::exchange(waiter_, nullptr)) w->finish();
}

bool turn_wait::start() {
    stream_core& core = *turn_->core_;
    turn_->opcode = io_opcode::wait_write;
    turn_->complete = &completed;
    if (core.engine_->start(*core.descriptor_, *turn_)) return true;
    turn_->waiter_ = this;
    return false;
}

bool turn_wait::abort() noexcept {
    stream_core& core = *turn_->core_;
    if (!core.engine_->cancel(*core.descriptor_, *turn_)) return false;
    turn_->waiter_ = nullptr;
    return true;
}

// An error of the wait is left to the write that comes after it.
void turn_wait::completed(io_operation& op) noexcept {
    auto& turn = static_cast<turn_operation&>(op);
    turn.error = 0;
    turn.wake();
}

void write_turn::lost(int error) noexcept {
    entry_.core_->lost_ = error;
}

} // namespace eddy::detail
