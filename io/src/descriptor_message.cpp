#include "descriptor_message.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace eddy::detail {

void put_descriptors(msghdr& m, std::span<std::byte> room, std::span<const int> descriptors) noexcept {
    const std::size_t size = CMSG_SPACE(descriptors.size_bytes());
    std::ranges::fill(room.first(size), std::byte{}); // its padding goes to the kernel too
    m.msg_control = room.data();
    m.msg_controllen = size;
    cmsghdr* const c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size_bytes());
}

ssize_t send_with_descriptor(int socket, std::span<const std::byte> bytes, int fd) noexcept {
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()}; // only read from
    alignas(cmsghdr) std::byte room[CMSG_SPACE(sizeof fd)];
    msghdr m{};
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    if (fd >= 0) put_descriptors(m, room, std::span(&fd, 1));
    ssize_t n = 0;
    do {
        n = ::sendmsg(socket, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n;
}

ssize_t receive_with_descriptor(int socket, std::span<std::byte> bytes, unique_fd& fd, int flags) noexcept {
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::byte room[CMSG_SPACE(sizeof(int))];
    msghdr m{};
    ssize_t n = 0;
    do {
        m = {};
        m.msg_iov = &part;
        m.msg_iovlen = 1;
        m.msg_control = room;
        m.msg_controllen = sizeof room;
        n = ::recvmsg(socket, &m, MSG_CMSG_CLOEXEC | flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return n;
    if (const cmsghdr* const c = CMSG_FIRSTHDR(&m); c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        int came = -1;
        std::memcpy(&came, CMSG_DATA(c), sizeof came);
        fd = unique_fd(came);
    }
    return n;
}

} // namespace eddy::detail
