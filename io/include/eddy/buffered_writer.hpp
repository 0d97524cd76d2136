// buffered_writer: collects small writes, and sends them together.
//
//     buffered_writer w{stream};
//     co_await w.write("HTTP/1.1 200 OK\r\n");
//     co_await w.write("Content-Length: 2\r\n\r\nhi");       // one write to the stream, at the end of the tick
//     co_await w.flush();                                     // until the stream has it all
//
// What is written in a tick goes out at its end, by a task of the loop's root group, without anybody asking. That task goes on as
// long as the writer lives, so that a `flush` in a cleanup sends even while the loop shuts down. Where the peer is slower than we,
// the buffer fills up to the high mark; then writes wait until it is down to the low one. Memory is bounded by the high mark and
// one write of each task. After asyncio.StreamWriter, whose write, though, never waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/cancel_scope.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/spawn.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy {

struct buffered_writer_options {
    std::size_t high = 64 * 1024; // writes wait while so much is buffered
    std::size_t low = 16 * 1024;  // … until it is down to this
};

namespace detail {

class buffer_wait;

/// The buffer, shared with the task that empties it.
class write_buffer {
public:
    enum class condition : std::uint8_t { room, sent, idle };
    explicit write_buffer(const buffered_writer_options& o);
    write_buffer(const write_buffer&) = delete;
    write_buffer& operator=(const write_buffer&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return sending_.size() + waiting_.size(); }
    /// Awaitable: until a write may go on; until all that is here now has been sent; until nobody uses the stream.
    [[nodiscard]] buffer_wait until(condition c) noexcept;
    void append(std::span<const std::byte> bytes);
    void take_back(std::size_t n) noexcept; // the last n
    /// True if somebody has to start the task that sends.
    [[nodiscard]] bool needs_sender() noexcept { return !waiting_.empty() && !error_ && !std::exchange(has_sender_, true); }
    void sender_not_started() noexcept { has_sender_ = false; }

    // --- the task that sends
    /// What is to be sent next; empty: nothing, and the task ends.
    [[nodiscard]] std::span<const std::byte> next() noexcept;
    void sends_in(cancel_scope* s) noexcept { sending_scope_ = s; } // null: not now
    void sent() noexcept;
    void failed(std::exception_ptr error) noexcept;
    void stopped() noexcept; // it ended, however

    /// No more is taken and no more is sent: what was not sent is dropped, the task that sends is cancelled.
    void close(const char* why) noexcept;
    [[nodiscard]] bool closed() const noexcept { return closed_; }

private:
    friend class buffer_wait;
    void wake() noexcept;
    [[nodiscard]] bool holds(condition c, std::uint64_t until) const noexcept;
    void throw_error();
    buffered_writer_options options_;
    std::vector<std::byte> waiting_;
    std::vector<std::byte> sending_;
    std::uint64_t taken_ = 0; // bytes, from the first on
    std::uint64_t sent_ = 0;
    wait_queue for_room_;
    wait_queue for_sent_; // in the order of what they wait for
    wait_queue for_idle_;
    std::exception_ptr error_;
    cancel_scope* sending_scope_ = nullptr;
    bool error_seen_ = false;
    bool full_ = false; // the high mark was reached, and the low one not since
    bool has_sender_ = false;
    bool closed_ = false;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] buffer_wait final : public queued<buffer_wait> {
public:
    using condition = write_buffer::condition;
    buffer_wait(write_buffer& b, wait_queue& q, condition c) noexcept : queued(q), buffer_(&b), until_(b.taken_), condition_(c) {}
    [[nodiscard]] bool try_now() const noexcept { return buffer_->holds(condition_, until_); }
    void take() const {
        if (condition_ != condition::idle) buffer_->throw_error();
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override {
        return condition_ == condition::room ? "room in a buffered_writer" : "flush";
    }

private:
    friend class write_buffer;
    write_buffer* buffer_;
    std::uint64_t until_; // as many bytes are to be sent
    condition condition_;
};

} // namespace detail

/// Holds a reference to the stream, which must outlive it. Loop thread only; any number of tasks may write. Destroying it drops what
/// the stream has not taken, and cancels a write that is in progress: flush or close first. With a stream that does not
/// outlive its operations (those of eddy do), `close` is a must. An error of the stream that no call has thrown by then goes to
/// the loop's exception handler.
template <async_write_stream Stream>
class buffered_writer {
public:
    explicit buffered_writer(Stream& stream, buffered_writer_options options = {})
        : stream_(stream), buffer_(std::make_shared<detail::write_buffer>(options)) {}
    buffered_writer(const buffered_writer&) = delete;
    buffered_writer& operator=(const buffered_writer&) = delete;
    ~buffered_writer() { buffer_->close("it was destroyed meanwhile"); }

    /// Awaitable: until the bytes are in the buffer. Waits for room first: checkpoint; cancelled, nothing was written. Throws
    /// the error with which the stream refused an earlier write, in every call from then on.
    task<> write(std::span<const std::byte> bytes);
    task<> write(std::string_view text) { return write(bytes_of(text)); }
    task<> write(const char* text) { return write(std::string_view(text)); }
    task<> write(std::string&& text) { return write_own(std::move(text)); } // its own: a task may be awaited later
    /// The same with several buffers, which get into the buffer together, nobody else's between them.
    task<> write(std::span<const std::span<const std::byte>> buffers);
    /// Awaitable: until the stream has taken everything that is in the buffer now. Checkpoint; cancelled, sending goes on. Throws
    /// as `write`.
    task<> flush();
    /// Awaitable: flushes; then, however that went, no more is taken (`closed_resource`) and the stream is not in use any more.
    /// Checkpoint; cancelled, what was not sent is dropped. Throws as `write`. The stream itself stays open. Twice does no harm.
    task<> close();
    /// Bytes that the stream has not taken yet.
    [[nodiscard]] std::size_t buffered() const noexcept { return buffer_->size(); }
    [[nodiscard]] Stream& stream() noexcept { return stream_; }

private:
    task<> write_own(std::string text) { co_await write(bytes_of(text)); }
    Stream& stream_;
    std::shared_ptr<detail::write_buffer> buffer_;
};

template <class Stream>
buffered_writer(Stream&) -> buffered_writer<Stream>;
template <class Stream>
buffered_writer(Stream&, buffered_writer_options) -> buffered_writer<Stream>;

// --- implementation

namespace detail {

class sender_mark {
public:
    explicit sender_mark(write_buffer& b) noexcept : buffer_(b) {}
    sender_mark(const sender_mark&) = delete;
    sender_mark& operator=(const sender_mark&) = delete;
    ~sender_mark() { buffer_.stopped(); }

private:
    write_buffer& buffer_;
};

/// Not cancelled with the loop's root group, but with its writer.
template <class Stream>
task<> send_part(write_buffer& buffer, Stream* stream, std::span<const std::byte> part) {
    auto sending = [&](cancel_scope& s) -> task<> {
        buffer.sends_in(&s);
        co_await stream->write(part);
        buffer.sent();
    };
    try {
        co_await with_shield(sending);
    } catch (const operation_cancelled&) {
        throw;
    } catch (...) {
        buffer.failed(std::current_exception());
    }
    buffer.sends_in(nullptr);
}

/// Starts at the end of the tick in which the first byte came: a new task is last in the queue.
template <class Stream>
task<> send_buffered(std::shared_ptr<write_buffer> buffer, Stream* stream) {
    const sender_mark mark(*buffer);
    for (;;) {
        const std::span<const std::byte> part = buffer->next();
        if (part.empty()) co_return;
        co_await send_part(*buffer, stream, part);
    }
}

template <class Stream>
void ensure_sender(const std::shared_ptr<write_buffer>& buffer, Stream* stream) {
    if (!buffer->needs_sender()) return;
    try {
        eddy::spawn(send_buffered<Stream>(buffer, stream), {.name = "buffered_writer"});
    } catch (...) {
        buffer->sender_not_started();
        throw;
    }
}

/// All of it, or nothing and an exception.
template <class Stream>
void append_and_send(const std::shared_ptr<write_buffer>& buffer, Stream* stream, std::span<const std::span<const std::byte>> parts) {
    std::size_t taken = 0;
    try {
        for (const std::span<const std::byte> bytes : parts) {
            buffer->append(bytes);
            taken += bytes.size();
        }
        ensure_sender(buffer, stream);
    } catch (...) {
        buffer->take_back(taken);
        throw;
    }
}

} // namespace detail

template <async_write_stream Stream>
task<> buffered_writer<Stream>::write(std::span<const std::byte> bytes) {
    const std::shared_ptr<detail::write_buffer> buffer = buffer_; // we may go while a task waits
    Stream* const stream = &stream_;
    detail::ensure_sender(buffer, stream); // the last time it may not have started
    co_await buffer->until(detail::write_buffer::condition::room);
    detail::append_and_send(buffer, stream, std::span(&bytes, 1));
}

template <async_write_stream Stream>
task<> buffered_writer<Stream>::write(std::span<const std::span<const std::byte>> buffers) {
    const std::shared_ptr<detail::write_buffer> buffer = buffer_;
    Stream* const stream = &stream_;
    detail::ensure_sender(buffer, stream);
    co_await buffer->until(detail::write_buffer::condition::room);
    detail::append_and_send(buffer, stream, buffers);
}

template <async_write_stream Stream>
task<> buffered_writer<Stream>::flush() {
    const std::shared_ptr<detail::write_buffer> buffer = buffer_;
    Stream* const stream = &stream_;
    detail::ensure_sender(buffer, stream);
    co_await buffer->until(detail::write_buffer::condition::sent);
}

template <async_write_stream Stream>
task<> buffered_writer<Stream>::close() {
    const std::shared_ptr<detail::write_buffer> buffer = buffer_;
    if (buffer->closed()) co_return;
    std::exception_ptr error;
    try {
        co_await flush();
    } catch (...) {
        error = std::current_exception();
    }
    buffer->close("it was closed");
    auto idle = buffer->until(detail::write_buffer::condition::idle);
    co_await shielded(std::move(idle));
    if (error) std::rethrow_exception(error);
}

} // namespace eddy
