// Bytes with descriptors beside them, through a unix socket (SCM_RIGHTS, unix(7)).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <span>

#include "process_state.hpp"

namespace eddy::detail {

/// Lays descriptors into the control part of a message. `room` is aligned as a cmsghdr, large enough and the message's from now on.
void put_descriptors(msghdr& m, std::span<std::byte> room, std::span<const int> descriptors) noexcept;

/// sendmsg(2) on a socket that blocks, without SIGPIPE, again after EINTR; what it gives. `fd` < 0: bytes alone.
[[nodiscard]] ssize_t send_with_descriptor(int socket, std::span<const std::byte> bytes, int fd) noexcept;
/// recvmsg(2) likewise. A descriptor that came is close-on-exec and `fd`'s, else that stays what it is.
[[nodiscard]] ssize_t receive_with_descriptor(int socket, std::span<std::byte> bytes, unique_fd& fd, int flags = 0) noexcept;

} // namespace eddy::detail
