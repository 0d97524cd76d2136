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

#include <eddy/errors.hpp>
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

/// `stream_of(owner)` gives the stream, and is asked anew for each buffer: the stream may be gone by then.
template <class S>
task<> write_one_by_one(S& (*stream_of)(void*), void* owner, std::span<const std::span<const std::byte>> buffers) {
    const task_context& self = co_await this_context();
    std::size_t written = 0;
    try {
        for (const std::span<const std::byte> part : buffers) {
            if (part.empty()) continue;
            co_await stream_of(owner).write(part);
            written += part.size();
        }
        if (written == 0) co_await stream_of(owner).write(std::span<const std::byte>()); // what it has to say to nothing
    } catch (const operation_cancelled& c) {
        throw operation_cancelled(self.scope().effective_reason(), written + c.partial());
    }
}

} // namespace detail

template <async_write_stream S>
task<> write_parts(S& stream, std::span<const std::span<const std::byte>> buffers) {
    if constexpr (async_gather_stream<S>) {
        co_await stream.write(buffers);
    } else {
        co_await detail::write_one_by_one<S>([](void* s) -> S& { return *static_cast<S*>(s); }, std::addressof(stream), buffers);
    }
}

} // namespace eddy
