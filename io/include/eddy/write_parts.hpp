// write_parts: several buffers to a stream of any type, for code that does not know what that can do.
//
//     const std::array parts{bytes_of(head), bytes_of(body)};
//     co_await write_parts(stream, parts);
//
// A stream that has it writes them as one (`async_gather_stream`: sockets, pipes, terminals, TLS, any_stream, buffered_writer); to
// any other they are written one after another.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// Awaitable: all bytes of all buffers, in their order. Buffers and list stay the caller's until it has ended. Checkpoint; `partial()`
/// of a cancellation is how many bytes had gone out, of all of them. Throws what the stream's `write` throws. A stream without a write
/// of several buffers gets a write for each, which a write of another task may come between; it does not know that more was to
/// follow, so cancelled or failed half-way it must not be written to any more: close it.
template <async_write_stream S>
task<> write_parts(S& stream, std::span<const std::span<const std::byte>> buffers);

// --- implementation

namespace detail {

// What writes one buffer after another into something that is awaited: `write(of, bytes)`. Not a template: GCC 12 warns of coroutines
// of types without linkage in a header.
task<> write_one_by_one(task<> (*write)(void* of, std::span<const std::byte> bytes), void* of,
                        std::span<const std::span<const std::byte>> buffers);

template <async_write_stream S>
task<> write_to(void* stream, std::span<const std::byte> bytes) {
    co_await static_cast<S*>(stream)->write(bytes);
}

} // namespace detail

template <async_write_stream S>
task<> write_parts(S& stream, std::span<const std::span<const std::byte>> buffers) {
    if constexpr (async_gather_stream<S>) {
        co_await stream.write(buffers);
    } else {
        co_await detail::write_one_by_one(&detail::write_to<S>, std::addressof(stream), buffers);
    }
}

} // namespace eddy
