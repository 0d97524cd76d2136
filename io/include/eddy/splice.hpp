// splice: what comes out of one stream goes into another.
//
//     std::uint64_t moved = co_await splice(from, to);                  // until the end of `from`
//     co_await to.shutdown_write();                                     // which is not passed on by itself
//
//     splice_buffer between;                                            // the same in steps, of which nothing is lost
//     while (std::size_t n = co_await splice_some(client, server, between)) count += n;
//
// Between sockets and pipes of ours the bytes stay inside the kernel (splice(2), with a pipe in the middle): no copy through our
// memory. They are read and written in blocks of 64 KiB if either stream is of another type (TLS, a buffered_reader, a class of
// yours), where the kernel has no such way, and where there is no descriptor left for the pipe.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <type_traits>

#include <eddy/detail/sole_reader.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/errors.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>
#include <eddy/this_task.hpp>

namespace eddy {

/// What was taken from one stream and not yet handed on to another: at most 64 KiB, in a pipe or in memory. Keeps them when a
/// splice is cancelled or fails; the next one hands them on first. One splice at a time (`busy_resource`); must outlive it.
class splice_buffer {
public:
    static constexpr std::size_t capacity = 64 * 1024;

    splice_buffer() noexcept = default;
    splice_buffer(const splice_buffer&) = delete;
    splice_buffer& operator=(const splice_buffer&) = delete;
    /// Drops what it holds.
    ~splice_buffer();
    /// Bytes that it holds.
    [[nodiscard]] std::size_t size() const noexcept { return in_pipe_ + (end_ - begin_); }

    // --- for the library
    /// A pipe to move bytes through; false if there is none to be had, or it is of no use to these streams.
    [[nodiscard]] bool open_pipe() noexcept;
    void give_pipe_up() noexcept { of_use_ = false; }
    [[nodiscard]] int pipe_in() const noexcept { return pipe_in_; }
    [[nodiscard]] int pipe_out() const noexcept { return pipe_out_; }
    [[nodiscard]] std::size_t in_pipe() const noexcept { return in_pipe_; }
    void pipe_filled(std::size_t n) noexcept { in_pipe_ += n; }
    void pipe_emptied(std::size_t n) noexcept { in_pipe_ -= n; }
    /// From the pipe to memory.
    void pull();
    [[nodiscard]] std::span<std::byte> room(std::size_t most);
    void filled(std::size_t n) noexcept { end_ = n; }
    [[nodiscard]] std::span<const std::byte> front(std::size_t most) const noexcept;
    void drop(std::size_t n) noexcept { begin_ += n; }
    bool busy = false;

private:
    int pipe_in_ = -1;
    int pipe_out_ = -1;
    bool of_use_ = true;
    std::size_t in_pipe_ = 0;
    std::unique_ptr<std::byte[]> block_;
    std::size_t begin_ = 0; // in the block
    std::size_t end_ = 0;
};

/// Moves what there is, or when something comes, that: at least one byte, at most `most` and 64 KiB; returns how many. 0 at the end
/// of `from`, and for `most` of 0. What `between` holds goes first. Nobody else may read `from` meanwhile; the bytes of one call
/// are one write among others to `to`. Checkpoint; cancelled or failed, what was taken and not handed on is in `between`, and
/// `partial()` of the exception is how many bytes of this call `to` has taken. (To a stream that is not a socket or a pipe of ours a
/// write that was begun and cancelled may leave the stream broken, as it says itself.) Throws what reading `from` and writing to `to`
/// throw.
template <class From, class To>
    requires async_read_stream<From> && async_write_stream<To>
task<std::size_t> splice_some(From& from, To& to, splice_buffer& between, std::size_t most = splice_buffer::capacity);

/// Moves `size` bytes, or all up to the end of `from`; returns how many. The end is not passed on: half-close `to` yourself. As
/// many calls of `splice_some`.
template <class From, class To>
    requires async_read_stream<From> && async_write_stream<To>
task<std::uint64_t> splice(From& from, To& to, splice_buffer& between, std::uint64_t size = std::numeric_limits<std::uint64_t>::max());

/// The same with a buffer of its own. So, cancelled or failed, what was taken and not handed on, at most 64 KiB, is lost; later
/// writes to `to`, if it is a socket or a pipe of ours, then throw `broken_resource` (R4): they would follow a gap. `partial()` is
/// how many bytes had gone.
template <class From, class To>
    requires async_read_stream<From> && async_write_stream<To>
task<std::uint64_t> splice(From& from, To& to, std::uint64_t size = std::numeric_limits<std::uint64_t>::max());

// --- implementation

namespace detail {

/// Streams over a descriptor of ours that splice(2) may know how to read and write.
template <class S>
concept has_core_to_splice = requires(const S& s) {
    { s.core_reference() } -> std::same_as<const core_ref&>;
} || requires(const S& s) {
    { s.pipe_reference() } -> std::same_as<const core_ref&>;
};

template <has_core_to_splice S>
[[nodiscard]] const core_ref& core_to_splice(const S& s) noexcept {
    if constexpr (requires { s.pipe_reference(); })
        return s.pipe_reference();
    else
        return s.core_reference();
}

/// Nothing if the kernel cannot: then it is to be done in memory.
[[nodiscard]] task<std::optional<std::size_t>> splice_by_kernel(core_ref from, core_ref to, splice_buffer& between, std::size_t most);
/// The same cancellation, with what was moved before it.
[[nodiscard]] operation_cancelled after_splicing(const operation_cancelled& c, std::uint64_t moved);
/// What was on its way is lost; is there somebody to whom it would have been a loss?
void note_gap(const core_ref& to, torn_write why) noexcept;

template <class From, class To>
task<std::size_t> splice_by_copy(From& from, To& to, splice_buffer& between, std::size_t most) {
    between.pull();
    if (between.size() == 0) {
        const std::size_t n = co_await from.read_some(between.room(most));
        between.filled(n);
        if (n == 0) co_return 0;
    }
    const std::span<const std::byte> part = between.front(most);
    try {
        co_await to.write(part);
    } catch (const operation_cancelled& c) {
        between.drop(c.partial());
        throw;
    }
    between.drop(part.size());
    co_return part.size();
}

template <class To>
void lost_between(const To& to, const splice_buffer& between, torn_write why) noexcept {
    if constexpr (has_core_to_splice<To>) {
        if (between.size() > 0) note_gap(core_to_splice(to), why);
    }
}

} // namespace detail

template <class From, class To>
    requires async_read_stream<From> && async_write_stream<To>
task<std::size_t> splice_some(From& from, To& to, splice_buffer& between, std::size_t most) {
    const detail::sole_reader me(between.busy, "a stream, into this splice_buffer");
    co_await this_task::checkpoint();
    if (most == 0) co_return 0;
    if constexpr (detail::has_core_to_splice<From> && detail::has_core_to_splice<To>) {
        if (between.open_pipe()) {
            const std::optional<std::size_t> n =
                co_await detail::splice_by_kernel(detail::core_to_splice(from), detail::core_to_splice(to), between, most);
            if (n) co_return *n;
        }
    }
    const std::size_t n = co_await detail::splice_by_copy(from, to, between, most);
    co_return n;
}

template <class From, class To>
    requires async_read_stream<From> && async_write_stream<To>
task<std::uint64_t> splice(From& from, To& to, splice_buffer& between, std::uint64_t size) {
    std::uint64_t moved = 0;
    try {
        while (moved < size) {
            const std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(size - moved, splice_buffer::capacity));
            const std::size_t n = co_await splice_some(from, to, between, most);
            if (n == 0) break;
            moved += n;
        }
    } catch (const operation_cancelled& c) {
        throw detail::after_splicing(c, moved + c.partial());
    }
    co_return moved;
}

template <class From, class To>
    requires async_read_stream<From> && async_write_stream<To>
task<std::uint64_t> splice(From& from, To& to, std::uint64_t size) {
    splice_buffer between;
    try {
        const std::uint64_t moved = co_await splice(from, to, between, size);
        co_return moved;
    } catch (const operation_cancelled&) {
        detail::lost_between(to, between, detail::torn_write::cancelled);
        throw;
    } catch (const std::system_error& e) { // nothing reaches a peer that has gone, and the kernel has a better word for that
        if (!detail::is_lost_connection(e.code().value())) detail::lost_between(to, between, detail::torn_write::failed);
        throw;
    } catch (...) {
        detail::lost_between(to, between, detail::torn_write::failed);
        throw;
    }
}

} // namespace eddy
