// Memory for coroutine frames and task states.
#pragma once

#include <cstddef>

namespace eddy::detail {

// A per-thread free list by size class, bounded and given back when the thread ends; plain `operator new` under the
// sanitizers, so that they see every lifetime. Out of line: a thread-local address must not be cached across a
// suspension (trap T7), and an inlined allocation invites elision that clang 15 gets wrong (trap T6).
[[nodiscard]] void* allocate_frame(std::size_t size);
void deallocate_frame(void* p, std::size_t size) noexcept;

/// Frames and task states alive in the whole process, for leak checks in tests. Exact while no thread allocates.
[[nodiscard]] std::size_t live_frames() noexcept;
/// How often `allocate_frame` of this thread went to the system allocator.
[[nodiscard]] std::size_t frame_allocations() noexcept;
/// Under a sanitizer, which is to see when memory is used after its end: nothing is kept for the next one.
[[nodiscard]] bool frames_are_watched() noexcept;

/// Base of classes that live in frame memory.
struct in_frame_memory {
    static void* operator new(std::size_t n) { return allocate_frame(n); }
    static void* operator new(std::size_t, void* p) noexcept { return p; }
    static void operator delete(void* p, std::size_t n) noexcept { deallocate_frame(p, n); }
    static void operator delete(void*, void*) noexcept {}
};

} // namespace eddy::detail
