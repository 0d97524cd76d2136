// The global operator new of this test program: counts, and fails on request.
#pragma once

#include <cstddef>

#include <eddy/task.hpp>

namespace allocations {

/// With sanitizers frames come from plain operator new, one each: counting says nothing then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool counted = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool counted = false;
#else
inline constexpr bool counted = true;
#endif
#else
inline constexpr bool counted = true;
#endif

/// How often this thread has called operator new. Always 0 in debug mode (EDDY_DEBUG=1): there the loop notes of every step what its
/// watchdog would say, which allocates and tells nothing about what is measured.
[[nodiscard]] std::size_t count() noexcept;
/// How many bytes it asked for last.
[[nodiscard]] std::size_t last_size() noexcept;

/// The largest block, in bytes, that this thread has asked for since this was made. One at a time.
class largest_block {
public:
    largest_block() noexcept;
    [[nodiscard]] std::size_t bytes() const noexcept;
};

/// Blocks that were allocated and not freed yet, by all threads.
[[nodiscard]] long live() noexcept;

/// How many allocations `n` more rounds take, after a few that warm up; 0 where counting says nothing.
template <class F>
eddy::task<std::size_t> in_steady_state(F round, int n = 1000) {
    for (int i = 0; i < 300; ++i) co_await round();
    const std::size_t before = count();
    for (int i = 0; i < n; ++i) co_await round();
    co_return counted ? count() - before : 0;
}

/// While it lives, the n-th allocation of this thread fails, once; 0 is the next one.
class failing {
public:
    explicit failing(long n) noexcept;
    failing(const failing&) = delete;
    failing& operator=(const failing&) = delete;
    ~failing();
    /// Did it fail?
    [[nodiscard]] bool happened() const noexcept;
};

} // namespace allocations
