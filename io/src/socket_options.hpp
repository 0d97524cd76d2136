// Options and names of sockets, with messages that say what could not be done.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <eddy/endpoint.hpp>

namespace eddy::detail {

/// Throws `std::system_error` with `what`, which names the option.
void set_option(int fd, int level, int option, int value, const char* what);
[[nodiscard]] int get_option(int fd, int level, int option, const char* what);
void bind_to_device(int fd, std::string_view device);
/// SO_RCVBUF or SO_SNDBUF; nothing for 0.
void set_buffer_size(int fd, int option, std::size_t bytes, const char* what);
[[nodiscard]] ip_endpoint local_endpoint_of(int fd);
[[nodiscard]] ip_endpoint remote_endpoint_of(int fd);
/// "127.0.0.1:80", or that nobody is there.
[[nodiscard]] std::string peer_name(int fd);

/// Is it connected?
[[nodiscard]] bool has_peer(int fd) noexcept;

/// Makes a descriptor from outside non-blocking and close-on-exec. It stays the caller's if that throws.
[[nodiscard]] int prepared(int fd);

} // namespace eddy::detail
