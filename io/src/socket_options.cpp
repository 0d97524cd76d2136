#include "socket_options.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>
#include <system_error>

#include <eddy/detail/stream_core.hpp>

namespace eddy::detail {

void set_option(int fd, int level, int option, int value, const char* what) {
    if (::setsockopt(fd, level, option, &value, sizeof value) != 0) throw std::system_error(errno, std::generic_category(), what);
}

int get_option(int fd, int level, int option, const char* what) {
    int value = 0;
    socklen_t size = sizeof value;
    if (::getsockopt(fd, level, option, &value, &size) != 0) throw std::system_error(errno, std::generic_category(), what);
    return value;
}

void bind_to_device(int fd, std::string_view device) {
    if (device.empty()) return;
    if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device.data(), static_cast<socklen_t>(device.size())) != 0)
        throw io_error(errno, "bind to device", device);
}

void set_buffer_size(int fd, int option, std::size_t bytes, const char* what) {
    if (bytes > 0) set_option(fd, SOL_SOCKET, option, static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)), what);
}

namespace {

using name_function = int (*)(int, sockaddr*, socklen_t*);

ip_endpoint endpoint_of(int fd, name_function get, const char* what) {
    ip_endpoint e;
    socklen_t size = ip_endpoint::capacity();
    if (get(fd, e.data(), &size) != 0) throw std::system_error(errno, std::generic_category(), what);
    return e;
}

} // namespace

ip_endpoint local_endpoint_of(int fd) {
    return endpoint_of(fd, &::getsockname, "local_endpoint");
}
ip_endpoint remote_endpoint_of(int fd) {
    return endpoint_of(fd, &::getpeername, "remote_endpoint");
}

bool has_peer(int fd) noexcept {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

std::string peer_name(int fd) {
    ip_endpoint e;
    socklen_t size = ip_endpoint::capacity();
    if (::getpeername(fd, e.data(), &size) != 0) return "a peer that is gone";
    return e.to_string();
}

int prepared(int fd) {
    prepare_descriptor(fd);
    return fd;
}

} // namespace eddy::detail
