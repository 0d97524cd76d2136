// basic_socket, stream_socket: what sockets of all kinds, and connected streams (tcp_stream, unix_stream), have in common.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <eddy/detail/borrowed_read.hpp>
#include <eddy/detail/gather_write.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/detail/write_some.hpp>
#include <eddy/errors.hpp>
#include <eddy/stream.hpp>

namespace eddy {

/// A socket that closes itself. Move-only; objects made by default or moved from have no socket: operations on them throw
/// `closed_resource`. Bound to the loop that first uses it, and to its thread.
class basic_socket {
public:
    /// Awaitable: frees the descriptor at once; what was written is still delivered, and input that nobody has read is dropped
    /// (of TCP at most 1 MiB). Where TCP gets more of that after the close, it resets the connection, and what was on its way may be
    /// lost: to be certain, `shutdown_write`, and read to the end before. Whoever waits gets `closed_resource`.
    /// A cancellation that was there before is thrown after the descriptor is free (R13). Twice does no harm.
    detail::close_operation close() noexcept { return detail::close_operation(core_.ref()); }
    /// Closes at once, dropping what was not sent yet; a TCP connection is reset.
    void abort() noexcept {
        if (core_) core_->abort();
    }
    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    /// -1 when closed. Still owned by the socket.
    [[nodiscard]] int native_handle() const noexcept { return core_ ? core_->fd() : -1; }
    /// Gives the descriptor away. Whoever waits gets `closed_resource`.
    [[nodiscard]] int release() noexcept { return core_ ? core_->detach() : -1; }

    /// SO_RCVBUF and SO_SNDBUF in bytes: what the kernel buffers for us. Linux sets twice the number, for its bookkeeping, and
    /// cuts off at net.core.rmem_max and wmem_max. Throws `std::system_error`.
    void set_receive_buffer_size(std::size_t bytes);
    void set_send_buffer_size(std::size_t bytes);
    [[nodiscard]] std::size_t receive_buffer_size() const;
    [[nodiscard]] std::size_t send_buffer_size() const;

    [[nodiscard]] const detail::core_ref& core_reference() const noexcept { return core_.ref(); } // for the library

protected:
    explicit basic_socket(const char* kind) noexcept : kind_(kind) {}
    basic_socket(const char* kind, detail::core_owner c) noexcept : core_(std::move(c)), kind_(kind) {}
    basic_socket(basic_socket&&) noexcept = default;
    basic_socket& operator=(basic_socket&&) noexcept = default;
    ~basic_socket() = default;
    /// Throws `closed_resource` if there is none.
    [[nodiscard]] detail::stream_core& core() const {
        if (!core_) [[unlikely]]
            throw_no_socket();
        return *core_;
    }
    /// Of an open socket: throws `closed_resource`, which a number of -1 would not explain.
    [[nodiscard]] int open_descriptor() const;

private:
    [[noreturn]] void throw_no_socket() const;
    detail::core_owner core_;
    const char* kind_; // for messages: "tcp_stream"
};

/// A connected socket that carries bytes: both directions in one object. Reads are served one at a time (`busy_resource`), writes
/// queue first come first served and are never torn.
class stream_socket : public basic_socket {
public:
    /// Awaitable: the number of bytes read, at least one; 0 at the end of the stream and for an empty buffer.
    /// Checkpoint; cancelled, nothing was read (R4). Throws `std::system_error` naming the peer, `busy_resource` while
    /// another task reads, `closed_resource` after or on a close on our side.
    detail::read_operation read_some(std::span<std::byte> buffer) { return {core(), buffer}; }
    /// The same into memory that is taken when something is there, so that who waits holds none: 32 KiB at the most, empty at the
    /// end (<eddy/borrowed_bytes.hpp>). What came is read in the task's own turn, also if the task is cancelled
    /// after it came (R2); cancelled before, nothing was.
    detail::borrowed_read_operation read_borrowed() { return detail::borrowed_read_operation(core()); }
    /// Awaitable: until a read would not wait: for data, the end or an error. Rarely it would all the same, when others read from the
    /// same socket. Takes the reader's place as a read does. Checkpoint; cancelled, nothing happened. Errors as of `read_some`.
    detail::wait_readable_operation wait_readable() { return detail::wait_readable_operation(core()); }
    /// Awaitable: until the kernel has taken all of it. Checkpoint; cancelled, `partial()` of the exception is how many
    /// bytes had gone out; if that is not 0, later writes throw `broken_resource`. So they do after one that failed half-way for
    /// another reason than a lost connection (ENOBUFS, ENOMEM). Throws `std::system_error` that names the peer (`connection_reset`,
    /// `broken_pipe` once nobody is there), `closed_resource` after or on a close on our side, `std::logic_error` after shutdown_write.
    detail::write_operation write(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_operation write(std::string_view text) { return write(bytes_of(text)); }
    detail::write_operation write(const char* text) { return write(std::string_view(text)); }
    /// The same with several buffers, in their order and as one write: `std::array parts{head, body}; co_await s.write(parts)`. Nothing
    /// is copied; the kernel gets sixteen buffers at a time. Empty ones do no harm. POSIX sendmsg, writev.
    detail::gather_write_operation write(std::span<const std::span<const std::byte>> buffers) { return {core(), buffers}; }
    /// Awaitable: how many bytes the kernel took, at least one: what it has room for now, or when it has some; 0 of no bytes.
    /// Waits its turn as `write` does; after it comes whoever is next, which may not be the one with the rest. Checkpoint;
    /// cancelled, nothing was written (R4), and later writes go on. Errors as of `write`.
    detail::write_some_operation write_some(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_some_operation write_some(std::string_view text) { return write_some(bytes_of(text)); }
    detail::write_some_operation write_some(const char* text) { return write_some(std::string_view(text)); }
    /// Awaitable: tells the peer that no more will come, after the writes that are queued. We can still read. Twice does no harm.
    /// Checkpoint; cancelled while it waits its turn, the stream is as before. Throws `std::system_error` that names the peer,
    /// `closed_resource` after or on a close on our side, `broken_resource` behind a write that was broken off half-way: the end
    /// would pass that off as whole.
    detail::write_operation shutdown_write() { return detail::write_operation(core()); }

protected:
    using basic_socket::basic_socket;
    stream_socket(stream_socket&&) noexcept = default;
    stream_socket& operator=(stream_socket&&) noexcept = default;
    ~stream_socket() = default;
};

} // namespace eddy
