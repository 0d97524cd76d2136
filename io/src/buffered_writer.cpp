#include <eddy/buffered_writer.hpp>

#include <stdexcept>

#include <eddy/errors.hpp>

namespace eddy::detail {

write_buffer::write_buffer(const buffered_writer_options& o) : options_(o) {
    if (o.low >= o.high) throw std::invalid_argument("buffered_writer: the low mark has to be below the high one");
}

write_room write_buffer::room() noexcept {
    return write_room(*this, for_room_, false);
}
write_room write_buffer::empty() noexcept {
    return write_room(*this, for_empty_, true);
}

void write_buffer::append(std::span<const std::byte> bytes) {
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    full_ = full_ || size() >= options_.high;
}

std::span<const std::byte> write_buffer::next() noexcept {
    if (gone_ || error_) return {};
    sending_.clear();
    sending_.swap(waiting_);
    return sending_;
}

void write_buffer::sent() noexcept {
    sending_.clear();
    if (size() <= options_.low) full_ = false;
    wake();
}

void write_buffer::failed(std::exception_ptr error) noexcept {
    error_ = std::move(error);
    sending_.clear();
    waiting_.clear();
    if (gone_)
        report_unseen();
    else
        wake();
}

// Of a stream that was closed after its writer there is nothing to say: what was not flushed is dropped.
void write_buffer::report_unseen() noexcept {
    if (!error_ || error_seen_) return;
    error_seen_ = true;
    try {
        std::rethrow_exception(error_);
    } catch (const closed_resource&) {
        return;
    } catch (...) {
        if (scheduler* const loop = current().loop)
            loop->report({.message = "a buffered_writer was destroyed and its error not seen", .exception = error_});
    }
}

// Cancelled, it may have left half of what it sent: nothing can follow that.
void write_buffer::stopped() noexcept {
    has_sender_ = false;
    if (sending_.empty() || error_) return;
    error_seen_ = true; // who cancelled it need not hear of it
    failed(std::make_exception_ptr(broken_resource("buffered_writer: the task that sends was cancelled")));
}

void write_buffer::wake() noexcept {
    if (error_ && (!for_room_.empty() || !for_empty_.empty())) error_seen_ = true; // they will throw it
    if (!full_ || error_) {
        while (queued_operation* const w = for_room_.pop_front()) w->grant();
    }
    if (size() == 0 || error_) {
        while (queued_operation* const w = for_empty_.pop_front()) w->grant();
    }
}

void write_buffer::throw_error() {
    if (!error_) return;
    error_seen_ = true;
    std::rethrow_exception(error_);
}

void write_buffer::let_go() noexcept {
    gone_ = true;
    report_unseen();
    error_ = std::make_exception_ptr(closed_resource("buffered_writer: it was destroyed meanwhile")); // also for a wait that is about to begin
    wake();
}

} // namespace eddy::detail
