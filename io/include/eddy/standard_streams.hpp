// standard_input, standard_output, standard_error: descriptors 0, 1 and 2 as streams.
//
//     standard_input_stream in = standard_input();
//     buffered_reader lines{in};
//     std::string line = co_await lines.read_line();
//     standard_output_stream out = standard_output();
//     co_await out.write("you said " + line);
//
// What is behind these numbers is seldom ours alone: a terminal or a pipe is shared with the shell, with our parent and with the
// programs beside us, and O_NONBLOCK would be seen by all of them, even after our end. So it is never set on them. Instead:
//   terminal               opened a second time, by /proc/self/fd, and that description is ours to be non-blocking. Where that is
//                          not allowed (after su): read when poll says so, and written by the blocking pool. While it is
//                          stopped (^S), a write keeps its worker until ^Q, and a cancellation waits as long
//   socket                 MSG_DONTWAIT
//   pipe, FIFO, the rest   RWF_NOWAIT; where the kernel has no such thing for it: read, or at most PIPE_BUF bytes written, once poll
//                          says that this does not wait. It may then all the same if another process was faster
//   file, /dev/null        on the blocking pool, at the position that is shared with whoever gave it to us; epoll refuses these
// What printf and std::cout keep in their buffers is written when they see fit: flush them before. Nothing is closed in the end.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy {

namespace detail {
class shared_descriptor;
}

/// Reads a descriptor that others use too. Move-only; bound to the loop of the task that waits. An operation in progress goes on if
/// the object goes.
class standard_input_stream {
public:
    /// Any other descriptor in the same way; `name` is what errors call it. It stays the caller's, and open while this lives.
    /// Throws `std::system_error`: EBADF if it is closed or not open for reading.
    standard_input_stream(int native_handle, std::string_view name);
    standard_input_stream(standard_input_stream&&) noexcept = default;
    standard_input_stream& operator=(standard_input_stream&&) noexcept = default;
    ~standard_input_stream() = default;

    /// Awaitable: the number of bytes read, at least one; 0 at the end and for an empty buffer. After the end of a terminal (^D)
    /// one can go on reading. Checkpoint; cancelled, nothing was read (R4), but from a file the read is waited for and its
    /// bytes are returned (R2). Throws `std::system_error`, `busy_resource` while another task reads from this object.
    task<std::size_t> read_some(std::span<std::byte> buffer);
    /// Is it a terminal?
    [[nodiscard]] bool is_terminal() const noexcept;
    [[nodiscard]] int native_handle() const noexcept;

private:
    std::shared_ptr<detail::shared_descriptor> descriptor_;
};

/// Writes to a descriptor that others use too. Move-only, and otherwise as `standard_input_stream`.
class standard_output_stream {
public:
    standard_output_stream(int native_handle, std::string_view name);
    standard_output_stream(standard_output_stream&&) noexcept = default;
    standard_output_stream& operator=(standard_output_stream&&) noexcept = default;
    ~standard_output_stream() = default;

    /// Awaitable: until the kernel has taken all of it, at most 64 KiB in one turn of the loop. Tasks that write to this object at
    /// once take turns; two objects of one descriptor do not know of each other. Checkpoint; cancelled, `partial()` of the
    /// exception is how many bytes had gone out; if that is not 0, later writes to this object throw `broken_resource`. A write
    /// that a worker does, to a file or to a terminal that we may not open, is waited for and takes place. Throws
    /// `std::system_error` (EPIPE once nobody reads); after another one with a part of it gone (ENOSPC, EIO) later writes throw
    /// `broken_resource`.
    task<> write(std::span<const std::byte> bytes);
    task<> write(std::string_view text) { return write(bytes_of(text)); }
    task<> write(const char* text) { return write(std::string_view(text)); }
    task<> write(std::string&& text); // kept until it is through
    [[nodiscard]] bool is_terminal() const noexcept;
    [[nodiscard]] int native_handle() const noexcept;

private:
    std::shared_ptr<detail::shared_descriptor> descriptor_;
};

/// Descriptor 0. A new object for each call; make one and keep it. Throws `std::system_error` if it is closed (EBADF).
[[nodiscard]] standard_input_stream standard_input();
/// Descriptor 1.
[[nodiscard]] standard_output_stream standard_output();
/// Descriptor 2.
[[nodiscard]] standard_output_stream standard_error();

} // namespace eddy
