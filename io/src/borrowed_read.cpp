#include <eddy/detail/borrowed_read.hpp>

#include <utility>

namespace eddy::detail {

bool borrowed_read_operation::start() {
    if (core_->known_empty()) { // then no buffer is needed to find it out
        opcode = io_opcode::wait_read;
        return incoming_operation::start();
    }
    take_room();
    if (incoming_operation::start()) {
        bytes_.set_size(error == 0 ? static_cast<std::size_t>(result) : 0);
        return true;
    }
    opcode = io_opcode::wait_read;
    bytes_ = {};
    return false;
}

void borrowed_read_operation::take_room() {
    bytes_ = borrowed_bytes::with_room();
    buffer = bytes_.room().data();
    length = borrowed_bytes::capacity;
    opcode = io_opcode::read;
}

bool borrowed_read_operation::begin() {
    expect_open("read from");
    const bool its_turn = std::exchange(waits_for_turn_, false);
    if (its_turn) leave();
    const bool plain = its_turn && core_->is_socket_ && core_->descriptor_->asks_kernel() && core_->descriptor_->short_read_empties();
    return plain ? take_turn() : start();
}

/// There is something to read, most often: that needs no engine.
bool borrowed_read_operation::take_turn() {
    take_room();
    if (!perform_receive(core_->fd_, *this)) { // somebody else was quicker
        bytes_ = {};
        tried = true;
        opcode = io_opcode::wait_read;
        return incoming_operation::start();
    }
    core_->descriptor_->note_read(result > 0 && result < static_cast<std::ptrdiff_t>(length));
    note_end();
    bytes_.set_size(error == 0 ? static_cast<std::size_t>(result) : 0);
    return true;
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
    const bool its_turn = std::exchange(waits_for_turn_, false);
    leave();
    if (!its_turn || !core_->is_open()) return state::cancelled;
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
