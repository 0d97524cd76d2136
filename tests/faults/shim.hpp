// For the functions that stand in the place of others': fault.cpp for those of the C library, ring_fault.cpp for liburing's.
#pragma once

#include <atomic>
#include <cstddef>

#include "faults/fault.hpp"

namespace fault {

/// Counts it; the error it is to fail with, or 0.
[[nodiscard]] int error_for(call c) noexcept;
/// The same, with the error in errno.
[[nodiscard]] bool fails(call c) noexcept;
/// How much of `size` a transfer may move.
[[nodiscard]] std::size_t shortened(int fd, std::size_t size) noexcept;
[[nodiscard]] void* looked_up(std::atomic<void*>& address, const char* name) noexcept;

} // namespace fault

// A library's own function, which comes after the program where the dynamic linker looks. No guarded static: who waits for its guard
// calls `syscall`.
#define EDDY_REAL(function)                                                                                            \
    static std::atomic<void*> address{nullptr};                                                                        \
    const auto real = reinterpret_cast<decltype(&::function)>(fault::looked_up(address, #function))
