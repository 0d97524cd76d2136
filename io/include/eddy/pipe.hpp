// Pipes: make_pipe, readable_pipe, writable_pipe.
//
//     pipe_pair ends = make_pipe();
//     co_await ends.writer.write("hello"sv);
//     std::size_t n = co_await ends.reader.read_some(buffer);      // 0 = the writer is closed
//
// One direction of bytes between tasks, threads or processes. Either end can also adopt a descriptor from outside: a FIFO, a
// terminal, another program's pipe. Ends are bound to the loop that first uses them and belong to its thread. What eddy opens is
// close-on-exec and non-blocking; writing to a pipe that nobody reads is an error, not a SIGPIPE.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <eddy/detail/gather_write.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/detail/write_some.hpp>
#include <eddy/errors.hpp>
#include <eddy/stream.hpp>

namespace eddy {

/// The end of a pipe that is read from. Move-only; not while a read is in progress.
class readable_pipe {
public:
    readable_pipe() noexcept = default;
    /// Adopts a descriptor that epoll can watch (pipe, FIFO, terminal, …) and makes it non-blocking and close-on-exec. `name` is
    /// what errors call it. It stays the caller's if that throws: `std::system_error` if the descriptor is none.
    explicit readable_pipe(int native_handle, std::string_view name = "pipe");

    /// Awaitable: the number of bytes read, at least one; 0 once every writer is closed, and for an empty buffer. Checkpoint;
    /// cancelled, nothing was read (R4). Throws `std::system_error`, `busy_resource` while another task reads,
    /// `closed_resource` after or on a close on our side.
    detail::read_operation read_some(std::span<std::byte> buffer) { return {core(), buffer}; }
    /// Awaitable: frees the descriptor at once; whoever waits gets `closed_resource`. A cancellation that was there before is
    /// thrown after that (R13). Twice does no harm.
    detail::close_operation close() noexcept { return detail::close_operation(core_.ref()); }
    /// The same, for code that cannot await.
    void abort() noexcept {
        if (core_) core_->close();
    }
    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    /// -1 when closed. Still owned by the pipe.
    [[nodiscard]] int native_handle() const noexcept { return core_ ? core_->fd() : -1; }
    /// Gives the descriptor away. It stays non-blocking.
    [[nodiscard]] int release() noexcept { return core_ ? core_->detach() : -1; }

    // for the library
    explicit readable_pipe(detail::core_owner c) noexcept : core_(std::move(c)) {}
    [[nodiscard]] const detail::core_ref& pipe_reference() const noexcept { return core_.ref(); }

private:
    [[nodiscard]] detail::stream_core& core() const {
        if (!core_) throw closed_resource("this readable_pipe has no descriptor");
        return *core_;
    }
    detail::core_owner core_;
};

/// The end of a pipe that is written to. Move-only; not while a write is in progress.
class writable_pipe {
public:
    writable_pipe() noexcept = default;
    /// As `readable_pipe`.
    explicit writable_pipe(int native_handle, std::string_view name = "pipe");

    /// Awaitable: until the kernel has taken all of it; tasks that write at once take turns. Checkpoint; cancelled, `partial()`
    /// of the exception is how many bytes had gone out; if that is not 0, later writes throw `broken_resource`. Throws
    /// `std::system_error` (EPIPE once nobody reads); after another one half-way later writes throw `broken_resource`, too.
    /// `closed_resource` after or on a close on our side.
    detail::write_operation write(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_operation write(std::string_view text) { return write(bytes_of(text)); }
    detail::write_operation write(const char* text) { return write(std::string_view(text)); }
    /// The same with several buffers, in their order and as one write: `std::array parts{head, body}; co_await w.write(parts)`. Nothing
    /// is copied; the kernel gets sixteen buffers at a time. Empty ones do no harm. POSIX writev.
    detail::gather_write_operation write(std::span<const std::span<const std::byte>> buffers) { return {core(), buffers}; }
    /// Awaitable: how many bytes the kernel took, at least one: what it has room for now, or when it has some; 0 of no bytes.
    /// Waits its turn as `write` does; after it comes whoever is next, which may not be the one with the rest. Checkpoint;
    /// cancelled, nothing was written (R4), and later writes go on. Errors as of `write`.
    detail::write_some_operation write_some(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_some_operation write_some(std::string_view text) { return write_some(bytes_of(text)); }
    detail::write_some_operation write_some(const char* text) { return write_some(std::string_view(text)); }
    /// Awaitable: frees the descriptor at once; the reader still gets what was written. As `readable_pipe::close`.
    detail::close_operation close() noexcept { return detail::close_operation(core_.ref()); }
    void abort() noexcept {
        if (core_) core_->close();
    }
    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    [[nodiscard]] int native_handle() const noexcept { return core_ ? core_->fd() : -1; }
    [[nodiscard]] int release() noexcept { return core_ ? core_->detach() : -1; }

    // for the library
    explicit writable_pipe(detail::core_owner c) noexcept : core_(std::move(c)) {}
    [[nodiscard]] const detail::core_ref& pipe_reference() const noexcept { return core_.ref(); }

private:
    [[nodiscard]] detail::stream_core& core() const {
        if (!core_) throw closed_resource("this writable_pipe has no descriptor");
        return *core_;
    }
    detail::core_owner core_;
};

/// Both ends of a pipe. It has a constructor, so that it may be a temporary in a `co_await` expression (trap T1).
class pipe_pair {
public:
    pipe_pair(readable_pipe r, writable_pipe w) noexcept : reader(std::move(r)), writer(std::move(w)) {}
    readable_pipe reader;
    writable_pipe writer;
};

/// A new pipe (pipe(2)). Throws `std::system_error`.
[[nodiscard]] pipe_pair make_pipe();

} // namespace eddy
