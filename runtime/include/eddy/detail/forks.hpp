// A process that was forked shares the kernel's objects with its parent: an epoll set, a ring. What it changes in them it changes for both.
#pragma once

namespace eddy::detail {

/// A number that differs between a process and what it forks. The first call registers for it (pthread_atfork).
[[nodiscard]] unsigned fork_generation() noexcept;

/// `std::logic_error`, for a child process that goes on with its parent's loop.
[[noreturn]] void throw_forked();

} // namespace eddy::detail
