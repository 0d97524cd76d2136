// testing::memory_stream_pair: two connected byte streams in memory, to test protocols without sockets.
//
//     auto ends = testing::memory_stream_pair({.fragment = 3});      // no read gives more than three bytes
//     spawn(serve_connection(std::move(ends.b)));
//     co_await ends.a.write("GET / HTTP/1.1\r\n\r\n");
//
// They have what `tcp_stream` has of the stream concepts, and its rules: reads one at a time, writes in order and never torn,
// what is buffered is read before an error. Everything is deterministic. After trio's memory_stream_pair and tokio's duplex.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string_view>

#include <eddy/task.hpp>

namespace eddy::testing {

struct memory_stream_options {
    std::size_t fragment = std::numeric_limits<std::size_t>::max(); // bytes that one read gives at most
    std::size_t capacity = 64 * 1024;                               // bytes on their way: a write waits for room
};

namespace detail_kit {
struct memory_connection;
}

struct memory_streams;
[[nodiscard]] memory_streams memory_stream_pair(memory_stream_options options = {});

/// One end. Move-only; loop thread only. Destroying it closes it.
class memory_stream {
public:
    memory_stream() noexcept;
    memory_stream(memory_stream&&) noexcept;
    memory_stream& operator=(memory_stream&& o) noexcept;
    ~memory_stream();

    /// Awaitable: at least one byte; 0 at the end, and for an empty buffer. Checkpoint; cancelled, nothing was read. Throws
    /// `busy_resource`, `closed_resource` after or on a close of this end, `std::system_error` (ECONNRESET) once the peer aborted.
    task<std::size_t> read_some(std::span<std::byte> buffer);
    /// Awaitable: until all of it is on its way. Checkpoint; cancelled after a part of it, later writes throw `broken_resource`.
    /// Throws `closed_resource`, `std::logic_error` after shutdown_write, `std::system_error` (EPIPE) once the peer is closed.
    task<> write(std::span<const std::byte> bytes);
    task<> write(std::string_view text);
    /// The same with several buffers, in their order and as one write.
    task<> write(std::span<const std::span<const std::byte>> buffers);
    /// Awaitable: how many bytes are on their way, at least one: what there is room for now, or when there is some; 0 of no bytes.
    /// Waits its turn as `write`. Checkpoint; cancelled, nothing was written. Throws as `write`.
    task<std::size_t> write_some(std::span<const std::byte> bytes);
    task<std::size_t> write_some(std::string_view text);
    /// Awaitable: the peer reads an end, after what was written.
    task<> shutdown_write();
    /// Awaitable: closes this end; a cancellation is thrown after that (R13). Twice does no harm.
    task<> close();
    /// Drops what the peer has not read: it gets ECONNRESET.
    void abort() noexcept;
    [[nodiscard]] bool is_open() const noexcept;

private:
    friend memory_streams memory_stream_pair(memory_stream_options options);
    memory_stream(std::shared_ptr<detail_kit::memory_connection> c, int side) noexcept;
    [[nodiscard]] const std::shared_ptr<detail_kit::memory_connection>& open_connection(const char* what) const;
    void close_now() noexcept;
    std::shared_ptr<detail_kit::memory_connection> connection_;
    int side_ = 0;
};

struct memory_streams {
    memory_stream a;
    memory_stream b;
};

} // namespace eddy::testing
