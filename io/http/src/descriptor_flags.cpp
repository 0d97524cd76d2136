#include "descriptor_flags.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>

namespace eddy::http::detail {
namespace {

[[nodiscard]] bool is_unnamed_unix_socket(int fd) noexcept {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.sun_family == AF_UNIX &&
           size <= offsetof(sockaddr_un, sun_path);
}

void mark_descriptor(int fd) noexcept {
    if (fd < 0 || !is_unnamed_unix_socket(fd)) return;
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0) ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

using name_function = int (*)(int, sockaddr*, socklen_t*);

/// The port of an IP socket's end; -1 if it has none.
[[nodiscard]] int port_of(int fd, name_function name) noexcept {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (name(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
    if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
    if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return -1;
}

} // namespace

bool is_connection(int fd, int local_port, int remote_port) noexcept {
    return port_of(fd, &::getsockname) == local_port && port_of(fd, &::getpeername) == remote_port;
}

bool is_unix_connection(int fd) noexcept {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.sun_family == AF_UNIX;
}

coming_pair coming_pair::guess() noexcept {
    coming_pair p;
    p.first_ = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p.second_ = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p.first_ >= 0) ::close(p.first_);
    if (p.second_ >= 0) ::close(p.second_);
    return p;
}

void coming_pair::mark() const noexcept {
    mark_descriptor(first_);
    mark_descriptor(second_);
}

} // namespace eddy::http::detail
