// Operations on files through the ring: what a file's verbs await where there is one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <eddy/detail/file_ring.hpp>
#include <eddy/detail/operation.hpp>
#include <eddy/detail/promise.hpp>

#include "file_handle.hpp"

struct statx;

namespace eddy::detail {

/// `co_await` gives true if the ring did it, else nothing happened and it is the blocking pool's: a write may have been begun,
/// see `bytes`. Errors name the path. The file is kept open meanwhile; `closed_resource` if it was closed before.
///
/// Cancelled, it has not happened, or it ends as if nobody had cancelled it (R2, R4); of a write what had been written is
/// `partial()`. In any case the kernel is done with the buffer. A close is not cancelled.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] ring_call final : public leaf<ring_call>, private ring_operation {
public:
    /// Is there a ring here, on this loop, for such an operation?
    [[nodiscard]] static bool possible(ring_opcode o) noexcept;

    /// The handle gets the descriptor.
    [[nodiscard]] static ring_call open(handle_ptr h, int open_flags, unsigned permissions) noexcept;
    [[nodiscard]] static ring_call read(handle_ptr h, std::span<std::byte> out, std::uint64_t at = at_position) noexcept;
    /// All of it.
    [[nodiscard]] static ring_call write(handle_ptr h, std::span<const std::byte> bytes, std::uint64_t at = at_position) noexcept;
    [[nodiscard]] static ring_call sync(handle_ptr h) noexcept { return {ring_opcode::sync, std::move(h)}; }
    [[nodiscard]] static ring_call datasync(handle_ptr h) noexcept { return {ring_opcode::datasync, std::move(h)}; }
    [[nodiscard]] static ring_call stat(handle_ptr h, unsigned mask, struct statx& out) noexcept;
    /// Nobody uses the file any more: its handle has none (`file_handle::take`), this has its number.
    [[nodiscard]] static ring_call close(handle_ptr h, int number) noexcept;
    ring_call(ring_call&& o) noexcept;

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start();
    bool abort() noexcept override;
    bool take() const;
    /// Moved so far.
    [[nodiscard]] std::size_t bytes() const noexcept { return moved_; }
    [[nodiscard]] std::size_t partial() const noexcept { return opcode == ring_opcode::write ? moved_ : 0; }
    [[nodiscard]] std::string_view waits_for() const noexcept override;

private:
    ring_call(ring_opcode o, handle_ptr h) noexcept;
    static void completed(ring_operation& op) noexcept;
    [[nodiscard]] bool moves_on() noexcept;
    void correct_position() noexcept;
    void let_go() noexcept;
    handle_ptr handle_;
    file_ring* ring_ = nullptr;
    std::size_t moved_ = 0;
    std::int64_t began_at_ = -1; // the file's position, if it is used and means something
    int error_ = 0;
    bool holds_ = false; // the file open
};

/// What can be said of it at once: the kernel is not asked to ask a server.
struct known_status {
    bool plain = false; // a regular file or a block device: positions mean something, and nothing waits for a peer
    std::uint64_t size = 0;
};
[[nodiscard]] known_status status_at_once(int fd) noexcept;

/// Does such an operation on this file go through the ring? Of what is no plain file only reads at the position do.
[[nodiscard]] bool by_ring(file_handle& h, ring_opcode o) noexcept;
/// The same for an operation at an offset.
[[nodiscard]] bool by_ring(file_handle& h, ring_opcode o, std::uint64_t offset) noexcept;

} // namespace eddy::detail
