// send_file: a file, or part of one, to a stream.
//
//     std::size_t sent = co_await send_file(stream, f);                     // all of it
//     std::size_t part = co_await send_file(stream, f, 4096, 1000);         // 1000 bytes from offset 4096
//
// To a socket of ours the bytes go inside the kernel (sendfile(2)), without a copy through our memory. The kernel may have to
// read the disk for it, which no flag of sendfile can forbid, so that it is called on the loop's blocking pool: the loop waits
// for nothing but room in the socket. To any other stream (TLS, a stream of yours) the file is read in blocks of 64 KiB, on the
// pool, and written. The position of the file is neither used nor moved (asyncio moves it).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <eddy/detail/write_turn.hpp>
#include <eddy/errors.hpp>
#include <eddy/file.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy {

namespace detail {

/// Streams over a descriptor of ours.
template <class S>
concept has_stream_core = requires(const S& s) {
    { s.core_reference() } -> std::same_as<const core_ref&>;
};

/// How long a sending may wait for room in its socket, all its waits together. What it waits for else, a worker or the disk, is not
/// counted: that is not the peer's doing.
class room_limit {
public:
    explicit room_limit(std::chrono::nanoseconds limit) noexcept : left(limit) {}
    std::chrono::nanoseconds left;
    bool exceeded = false; // then less was sent
};

task<std::size_t> send_file_by_kernel(core_ref to, file& from, std::uint64_t offset, std::uint64_t size, room_limit* limit = nullptr);
/// The same cancellation, with what was sent before it.
[[nodiscard]] operation_cancelled after_sending(const operation_cancelled& c, std::size_t sent);

inline constexpr std::size_t send_file_block = 64 * 1024;

template <async_write_stream S>
task<std::size_t> send_file_by_copy(S& stream, file& from, std::uint64_t offset, std::uint64_t size) {
    const auto block = std::make_unique_for_overwrite<std::array<std::byte, send_file_block>>();
    std::size_t sent = 0;
    try {
        while (sent < size) {
            const std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(size - sent, send_file_block));
            const std::size_t n = co_await from.read_at(offset + sent, std::span(*block).first(most));
            if (n == 0) break;
            co_await stream.write(std::span<const std::byte>(*block).first(n));
            sent += n;
        }
    } catch (const operation_cancelled& c) {
        throw after_sending(c, sent + c.partial());
    }
    co_return sent;
}

} // namespace detail

/// Sends `size` bytes of the file from `offset` on, or what there is up to its end, and returns how many it sent. Over a socket
/// it takes its turn among the writes of the stream, which wait for it (never torn); to other streams it is a write for each block,
/// and who else writes must be kept out. File and stream must live as long as the call. Checkpoint; cancelled, `partial()` of the
/// exception is how many bytes had gone; if that is not 0, later writes to the socket throw `broken_resource` (R4), as they do
/// after any error in the middle. What the kernel does at that moment is waited for. Throws `std::system_error` that names file
/// and peer, `closed_resource` when either is closed on our side meanwhile (the connection then ends when the running call is
/// through), and what a write throws.
template <class S>
    requires async_write_stream<S>
task<std::size_t> send_file(S& stream, file& from, std::uint64_t offset = 0, std::uint64_t size = std::numeric_limits<std::uint64_t>::max()) {
    if constexpr (detail::has_stream_core<S>)
        return detail::send_file_by_kernel(stream.core_reference(), from, offset, size);
    else
        return detail::send_file_by_copy(stream, from, offset, size);
}

} // namespace eddy
