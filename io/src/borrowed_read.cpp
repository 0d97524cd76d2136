#include <eddy/detail/borrowed_read.hpp>

namespace eddy::detail {

bool borrowed_read_operation::start() {
    if (waits_for_turn_) leave();
    waits_for_turn_ = false;
    opcode = io_opcode::read;
    if (core_->known_empty()) { // then no buffer is needed to find it out
        buffer = nullptr;
        length = 0;
    } else {
        bytes_ = borrowed_bytes::with_room();
        buffer = bytes_.room().data();
        length = borrowed_bytes::capacity;
    }
    if (incoming_operation::start()) {
        bytes_.set_size(error == 0 ? static_cast<std::size_t>(result) : 0);
        return true;
    }
    opcode = io_opcode::wait_read;
    buffer = nullptr;
    bytes_ = {};
    return false;
}

/// The descriptor has become readable.
void borrowed_read_operation::came(io_operation& op) noexcept {
    auto& self = static_cast<borrowed_read_operation&>(op);
    if (self.aborting() || self.error != 0) {
        self.leave();
        return self.aborting() ? self.finish_cancelled() : self.finish();
    }
    self.waits_for_turn_ = true; // and keeps its place: nobody may read before it
    self.begin_again();
}

// The bytes were there before the cancellation was (R2).
operation::state borrowed_read_operation::cancelled_unstarted() noexcept {
    if (!waits_for_turn_ || !core_->is_open()) {
        leave();
        return state::cancelled;
    }
    try {
        if (start()) return state::done;
    } catch (...) { // no memory for a buffer: nothing was read
        return state::cancelled;
    }
    return abort() ? state::cancelled : state::aborting;
}

// That is its outcome, whatever comes before its turn (R2); but a cancellation that came before it stays one.
void borrowed_read_operation::core_closed() noexcept {
    if (!waits_for_turn_ || !task().cancel_pending()) finish();
}

} // namespace eddy::detail
