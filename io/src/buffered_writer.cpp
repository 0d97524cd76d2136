#include <eddy/buffered_writer.hpp>

#include <stdexcept>
#include <string>

#include <eddy/errors.hpp>

namespace eddy::detail {

namespace {

// Whoever builds a message may find no memory for it: an error without one is better than none.
template <class E>
std::exception_ptr made(const char* text) noexcept {
    try {
        return std::make_exception_ptr(E(std::string("buffered_writer: ") + text));
    } catch (...) {
        return std::current_exception();
    }
}

// Of a stream that was closed there is nothing to say: what was not flushed is dropped.
void report(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const closed_resource&) {
        return;
    } catch (...) {
        if (scheduler* const loop = current().loop)
            loop->report({.message = "a buffered_writer was destroyed and its error not seen", .exception = error});
    }
}

} // namespace

void write_buffer::failed(std::exception_ptr error) noexcept {
    sending_.clear();
    if (closed_) return report(error);
    error_ = std::move(error);
    waiting_.clear();
    wake();
}

write_buffer::write_buffer(const buffered_writer_options& o) : options_(o) {
    if (o.low >= o.high) throw std::invalid_argument("buffered_writer: the low mark has to be below the high one");
}

buffer_wait write_buffer::until(condition c) noexcept {
    return {*this, c == condition::room ? for_room_ : c == condition::sent ? for_sent_ : for_idle_, c};
}

bool write_buffer::holds(condition c, std::uint64_t until) const noexcept {
    switch (c) {
    case condition::room: return error_ || !full_;
    case condition::sent: return error_ || sent_ >= until;
    case condition::idle: return !has_sender_;
    }
    return true;
}

void write_buffer::append(std::span<const std::byte> bytes) {
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    taken_ += bytes.size();
    full_ = full_ || size() >= options_.high;
}

void write_buffer::take_back(std::size_t n) noexcept {
    waiting_.resize(waiting_.size() - n);
    taken_ -= n;
    full_ = size() >= options_.high;
    wake();
}

std::span<const std::byte> write_buffer::next() noexcept {
    if (closed_ || error_) return {};
    sending_.clear();
    sending_.swap(waiting_);
    return sending_;
}

void write_buffer::sent() noexcept {
    sent_ += sending_.size();
    sending_.clear();
    if (size() <= options_.low) full_ = false;
    wake();
}

// Cancelled, it may have left half of what it sent: nothing can follow that.
void write_buffer::stopped() noexcept {
    has_sender_ = false;
    sending_scope_ = nullptr;
    if (!sending_.empty() && !error_) {
        error_seen_ = true; // who cancelled it need not hear of it
        failed(made<broken_resource>("the task that sends was cancelled"));
    }
    while (queued_operation* const w = for_idle_.pop_front()) w->grant();
}

void write_buffer::wake() noexcept {
    if (error_ && (!for_room_.empty() || !for_sent_.empty())) error_seen_ = true; // they will throw it
    if (!full_ || error_) {
        while (queued_operation* const w = for_room_.pop_front()) w->grant();
    }
    while (auto* const w = static_cast<buffer_wait*>(for_sent_.front())) {
        if (!holds(condition::sent, w->until_)) break;
        for_sent_.erase(*w);
        w->grant();
    }
}

void write_buffer::throw_error() {
    if (!error_) return;
    error_seen_ = true;
    std::rethrow_exception(error_);
}

void write_buffer::close(const char* why) noexcept {
    if (std::exchange(closed_, true)) return;
    if (error_ && !error_seen_) report(error_);
    error_ = made<closed_resource>(why); // also for a wait that is about to begin
    waiting_.clear();
    if (sending_scope_) sending_scope_->cancel();
    wake();
}

} // namespace eddy::detail
