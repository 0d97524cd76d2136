// The file that a Unix-domain socket is bound to.
#pragma once

#include <string>

#include <eddy/detail/stream_core.hpp>
#include <eddy/unix_endpoint.hpp>

namespace eddy::detail {

/// Non-blocking and close-on-exec; called after the endpoint.
[[nodiscard]] core_owner new_unix_socket(int type, const unix_endpoint& e);

struct unix_file_options {
    bool cleanup;
    bool replace_stale;
    unsigned permissions;
};

/// Binds the socket, of the type, and lets it listen if there is a backlog. Throws `std::system_error` that names the path; no file of
/// ours is left then.
void bind_unix(stream_core& socket, int type, const unix_endpoint& e, const unix_file_options& options, int backlog = -1);

/// An errno, or 0. Never EINTR.
[[nodiscard]] int connect_unix(int fd, const unix_endpoint& e) noexcept;

[[nodiscard]] unix_endpoint local_unix_endpoint_of(int fd);
[[nodiscard]] unix_endpoint remote_unix_endpoint_of(int fd);
/// What messages call a connection from outside: the path of the end that has one.
[[nodiscard]] std::string unix_name_of(int fd);

} // namespace eddy::detail
