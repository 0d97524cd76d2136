// buffered_writer: collects small writes, and sends them together.
//
//     buffered_writer w{stream};
//     co_await w.write("HTTP/1.1 200 OK\r\n");
//     co_await w.write("Content-Length: 2\r\n\r\nhi");       // one write to the stream, at the end of the tick
//     co_await w.flush();                                     // until the stream has it all
//
// What is written in a tick goes out at its end, by a task of the loop's root group, without anybody asking. Where the peer is
// slower than we, the buffer fills up to the high mark; then writes wait until it is down to the low one. Memory is bounded by
// the high mark and one write of each task. After asyncio.StreamWriter, whose write, though, never waits.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <source_location>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

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

class write_room;

/// The buffer, shared with the task that empties it.
class write_buffer {
public:
    explicit write_buffer(const buffered_writer_options& o);
    write_buffer(const write_buffer&) = delete;
    write_buffer& operator=(const write_buffer&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return sending_.size() + waiting_.size(); }
    /// Awaitable: until a write may go on; until all has been sent.
    [[nodiscard]] write_room room() noexcept;
    [[nodiscard]] write_room empty() noexcept;
    void append(std::span<const std::byte> bytes);
    /// True if somebody has to start the task that sends.
    [[nodiscard]] bool needs_sender() noexcept { return !waiting_.empty() && !error_ && !std::exchange(has_sender_, true); }
    void sender_not_started() noexcept { has_sender_ = false; }

    // --- the task that sends
    /// What is to be sent next; empty: nothing, and the task ends.
    [[nodiscard]] std::span<const std::byte> next() noexcept;
    void sent() noexcept;
    void failed(std::exception_ptr error) noexcept;
    void stopped() noexcept; // it ended, however

    /// The writer goes: what was not sent is dropped.
    void let_go() noexcept;

private:
    friend class write_room;
    void wake() noexcept;
    void throw_error();
    void report_unseen() noexcept;
    buffered_writer_options options_;
    std::vector<std::byte> waiting_;
    std::vector<std::byte> sending_;
    wait_queue for_room_;
    wait_queue for_empty_;
    std::exception_ptr error_;
    bool error_seen_ = false;
    bool full_ = false; // the high mark was reached, and the low one not since
    bool has_sender_ = false;
    bool gone_ = false;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] write_room final : public queued<write_room> {
public:
    write_room(write_buffer& b, wait_queue& q, bool all) noexcept : queued(q), buffer_(&b), all_(all) {}
    [[nodiscard]] bool try_now() const noexcept {
        return buffer_->error_ || (all_ ? buffer_->size() == 0 : !buffer_->full_);
    }
    void take() const { buffer_->throw_error(); }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return all_ ? "flush" : "room in a buffered_writer"; }

private:
    write_buffer* buffer_;
    bool all_;
};

} // namespace detail

/// Holds a reference to the stream, which must outlive it. Loop thread only; any number of tasks may write. Destroying it drops
/// what has not been given to the stream: flush first, also because a write that is in progress then still uses it. An error of the stream that no call has thrown by then goes to the
/// loop's exception handler.
template <async_write_stream Stream>
class buffered_writer {
public:
    explicit buffered_writer(Stream& stream, buffered_writer_options options = {})
        : stream_(stream), buffer_(std::make_shared<detail::write_buffer>(options)) {}
    buffered_writer(const buffered_writer&) = delete;
    buffered_writer& operator=(const buffered_writer&) = delete;
    ~buffered_writer() { buffer_->let_go(); }

    /// Awaitable: until the bytes are in the buffer. Waits for room first: checkpoint; cancelled, nothing was written. Throws
    /// the error with which the stream refused an earlier write, in every call from then on.
    task<> write(std::span<const std::byte> bytes);
    task<> write(std::string_view text) { return write(bytes_of(text)); }
    /// Awaitable: until the stream has taken everything that is in the buffer. Checkpoint; cancelled, sending goes on. Throws as
    /// `write`.
    task<> flush();
    /// Bytes that the stream has not taken yet.
    [[nodiscard]] std::size_t buffered() const noexcept { return buffer_->size(); }
    [[nodiscard]] Stream& stream() noexcept { return stream_; }

private:
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

/// Starts at the end of the tick in which the first byte came: a new task is last in the queue.
template <class Stream>
task<> send_buffered(std::shared_ptr<write_buffer> buffer, Stream* stream) {
    const sender_mark mark(*buffer);
    for (;;) {
        const std::span<const std::byte> part = buffer->next();
        if (part.empty()) co_return;
        try {
            co_await stream->write(part);
            buffer->sent();
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) {
            buffer->failed(std::current_exception());
        }
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

} // namespace detail

template <async_write_stream Stream>
task<> buffered_writer<Stream>::write(std::span<const std::byte> bytes) {
    const std::shared_ptr<detail::write_buffer> buffer = buffer_; // we may go while a task waits
    Stream* const stream = &stream_;
    co_await buffer->room();
    buffer->append(bytes);
    detail::ensure_sender(buffer, stream);
}

template <async_write_stream Stream>
task<> buffered_writer<Stream>::flush() {
    const std::shared_ptr<detail::write_buffer> buffer = buffer_;
    Stream* const stream = &stream_;
    detail::ensure_sender(buffer, stream);
    co_await buffer->empty();
}

} // namespace eddy
