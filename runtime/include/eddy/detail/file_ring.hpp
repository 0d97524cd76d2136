// The ring through which operations on files go to the kernel, where the engine has one. See docs/design/engines.md.
#pragma once

#include <cstddef>
#include <cstdint>

#include <eddy/detail/ready_list.hpp>

namespace eddy::detail {

enum class ring_opcode : std::uint8_t { open, read, write, sync, datasync, stat, close };
inline constexpr std::size_t ring_opcode_count = 7;

/// One operation on a file. Lives in the awaiter; the kernel's and the ring's between `start` and `complete`.
struct ring_operation {
    static constexpr std::uint64_t at_position = static_cast<std::uint64_t>(-1);

    ring_opcode opcode = ring_opcode::read;
    int fd = -1;
    int flags = 0;                        // of open(2)
    void* buffer = nullptr;               // bytes; the path to open; the struct statx
    std::size_t length = 0;               // bytes; permissions to open with; the mask of statx
    std::uint64_t offset = at_position;
    int result = 0;                       // bytes moved, or a descriptor; -errno. -ECANCELED: it was cancelled, and nothing happened
    bool refused = false;                 // the kernel did not take it, now or ever: nothing happened
    void (*complete)(ring_operation&) noexcept = nullptr; // on the loop thread, from poll

    // --- the ring's own
    list_link<ring_operation> link;  // among those that are on their way to the kernel, or whose cancellation is
    bool in_kernel = false;          // its completion is still to come
    bool cancel_wanted = false;
    bool cancel_in_kernel = false;   // and so is that of its cancellation
};

/// Belongs to the loop's thread. Operations are collected, and given to the kernel together when the loop polls.
class file_ring {
public:
    file_ring() = default;
    file_ring(const file_ring&) = delete;
    file_ring& operator=(const file_ring&) = delete;
    virtual ~file_ring() = default;

    /// Does this kernel know the operation, and has it not refused the ring since? Never in a process that was forked.
    [[nodiscard]] virtual bool supports(ring_opcode o) const noexcept = 0;
    /// `complete` will be called. The descriptor has to stay open and the buffer in its place until then.
    virtual void start(ring_operation& op) noexcept = 0;
    /// True if the kernel has not got it: it is detached, and nothing happened. False if `complete` will still be called, with
    /// -ECANCELED if the kernel gave it up.
    [[nodiscard]] virtual bool cancel(ring_operation& op) noexcept = 0;
    /// Operations that were started and are not complete.
    [[nodiscard]] virtual std::size_t pending() const noexcept = 0;
    /// System calls that gave operations to the kernel.
    [[nodiscard]] virtual std::uint64_t submissions() const noexcept = 0;
    /// From now on it is as if the kernel did not know this operation. For tests.
    virtual void forgo(ring_opcode o) noexcept = 0;
};

} // namespace eddy::detail
