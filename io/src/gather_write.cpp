#include <eddy/detail/gather_write.hpp>

#include <utility>

namespace eddy::detail {

gather_write_operation::gather_write_operation(stream_core& core, buffer_list buffers) noexcept
    : outgoing_operation(core, io_opcode::write_parts), rest_(buffers) {
    for (const std::span<const std::byte> b : buffers) all_ += b.size();
}
gather_write_operation::gather_write_operation(gather_write_operation&& o) noexcept
    : outgoing_operation(std::move(o)), rest_(o.rest_), all_(o.all_) {}

bool gather_write_operation::try_now() const {
    if (!core_->is_open()) throw_closed("write to");
    if (core_->is_write_shut()) throw_shut("write to");
    return all_ == 0 && !core_->is_write_broken();
}

bool gather_write_operation::drive() {
    if (refused()) return true;
    for (;;) {
        aim();
        if (!submit()) return false;
        if (advance()) return true;
    }
}

bool gather_write_operation::advance() noexcept {
    if (error == 0) skip(static_cast<std::size_t>(result));
    return note_written(written_, all_);
}

// Tells the kernel of as many buffers as it gets at once.
void gather_write_operation::aim() noexcept {
    std::size_t n = 0;
    std::size_t from = offset_;
    for (const std::span<const std::byte> b : rest_) {
        if (n == most_parts) break;
        const std::span<const std::byte> left = b.subspan(std::exchange(from, 0));
        if (!left.empty()) parts_[n++] = {const_cast<std::byte*>(left.data()), left.size()}; // only read from
    }
    message_.msg_iov = parts_.data();
    message_.msg_iovlen = n;
    buffer = &message_;
}

void gather_write_operation::skip(std::size_t bytes) noexcept {
    while (bytes > 0) {
        const std::size_t left = rest_.front().size() - offset_;
        if (bytes < left) {
            offset_ += bytes;
            return;
        }
        bytes -= left;
        rest_ = rest_.subspan(1);
        offset_ = 0;
    }
}

} // namespace eddy::detail
