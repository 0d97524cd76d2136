// Unix-domain streams: unix_connect, unix_stream, unix_listener.
//
//     unix_listener l = unix_listener::bind("/run/x.sock", {.cleanup = true});
//     co_await serve(l, [](unix_stream s) -> task<> { … });
//
//     unix_stream s = co_await unix_connect("/run/x.sock");
//     co_await s.write("hello"sv);
//
// Like TCP's on one machine, and in addition: access by file permissions, the peer's credentials, descriptors that are passed.
// A path that begins with '@' is a name of Linux's abstract namespace: see <eddy/unix_endpoint.hpp>.
#pragma once

#include <chrono>
#include <cstddef>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <sys/types.h>

#include <eddy/detail/descriptor_passing.hpp>
#include <eddy/detail/listener.hpp>
#include <eddy/socket.hpp>
#include <eddy/task.hpp>
#include <eddy/unix_endpoint.hpp>

namespace eddy {

/// SO_PEERCRED: whose process connected, or listened, when it did so. The kernel vouches for it.
struct peer_credentials {
    ::pid_t pid;
    ::uid_t uid;
    ::gid_t gid;
};

/// A connected Unix-domain socket. What it can do: <eddy/socket.hpp>. It may be moved, but not while an operation of it is in progress.
class unix_stream : public stream_socket {
public:
    unix_stream() noexcept : stream_socket("unix_stream") {}
    /// Adopts a connected socket and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    explicit unix_stream(int native_handle);
    unix_stream(unix_stream&&) noexcept = default;
    unix_stream& operator=(unix_stream&&) noexcept = default;
    /// Closes the socket: what was written is still delivered, whoever waits gets `closed_resource`. If there is input that nobody has
    /// read, the peer gets `connection_reset` instead of the end, behind what was written.
    ~unix_stream() = default;

    /// Awaitable: like `write`, and `descriptors` go with the first byte; they stay ours, the peer gets duplicates. At least one byte
    /// and at most 253 descriptors, else `std::invalid_argument`. Cancelled, with `partial()` > 0 they have gone out.
    detail::send_descriptors_operation send_descriptors(std::span<const std::byte> bytes, std::span<const int> descriptors) {
        return {core(), bytes, descriptors};
    }
    detail::send_descriptors_operation send_descriptors(std::string_view text, std::span<const int> descriptors) {
        return send_descriptors(bytes_of(text), descriptors);
    }
    /// Awaitable: like `read_some`, with the descriptors that came with the first byte read: `received_descriptors` with size,
    /// descriptors, truncated. They are close-on-exec. Any other read of those bytes makes the kernel close them.
    detail::receive_descriptors_operation receive_descriptors(std::span<std::byte> buffer) { return {core(), buffer}; }

    // All of these throw `closed_resource` without a socket, and `std::system_error` if the kernel refuses.
    /// Who is at the other end; of a pair, ourselves.
    [[nodiscard]] peer_credentials credentials() const;
    /// Empty where a socket has no name: a client's mostly has none.
    [[nodiscard]] unix_endpoint local_endpoint() const;
    [[nodiscard]] unix_endpoint remote_endpoint() const;

    // for the library
    explicit unix_stream(detail::core_owner c) noexcept : stream_socket("unix_stream", std::move(c)) {}
    [[nodiscard]] static unix_stream accepted(int fd, const detail::stream_core& listener);
};

struct unix_streams {
    unix_stream a;
    unix_stream b;
};
/// Two streams that are connected with each other. Throws `std::system_error`.
[[nodiscard]] unix_streams unix_stream_pair();

struct unix_connect_options {
    std::chrono::nanoseconds timeout{0}; // 0: none. Throws timeout_error.
};

/// Connects to who listens on `path`. While that one's queue is full it tries again and again, for the kernel tells nobody when there
/// is room. Checkpoint; cancelled, no socket is left. Throws `std::system_error` that names the path, `timeout_error`,
/// `std::invalid_argument` for a path that cannot be one.
task<unix_stream> unix_connect(std::string path, unix_connect_options options = {},
                               std::source_location site = std::source_location::current());

struct unix_listen_options {
    int backlog = 1024;
    bool cleanup = false;        // remove the file when the listener is closed, if it is still ours
    bool replace_stale = false;  // remove a socket file first that nobody listens on any more
    unsigned permissions = 0777; // of the file, less the umask; from its first moment on
};

/// A socket that listens on a path. `accept`, `close`, `is_open`, `native_handle`: <eddy/detail/listener.hpp>.
class unix_listener : public detail::listening_socket<unix_stream> {
public:
    unix_listener() noexcept : unix_listener(detail::core_owner(), unix_endpoint()) {}
    unix_listener(unix_listener&&) noexcept = default;
    unix_listener& operator=(unix_listener&&) noexcept = default;
    /// Closes the socket; whoever waits in `accept` gets `closed_resource`.
    ~unix_listener() = default;

    /// A socket that listens. Throws `std::system_error` that names the path (`address_in_use` if there is a file already: a crash
    /// leaves one behind), `std::invalid_argument` for a path that cannot be one. With `replace_stale`, two processes that start at
    /// the same time may still take the path from each other: where that can happen, let them lock a file first.
    [[nodiscard]] static unix_listener bind(std::string_view path, const unix_listen_options& options = {});
    /// Adopts a listening socket (of systemd, say) and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    explicit unix_listener(int native_handle);

    /// Also after it was closed.
    [[nodiscard]] const unix_endpoint& local_endpoint() const noexcept { return local_; }

    /// For the library: the socket for a server.
    [[nodiscard]] unix_listener lend() noexcept { return unix_listener(lend_core(), local_); }

private:
    unix_listener(int fd, const unix_endpoint& local);
    unix_listener(detail::core_owner c, const unix_endpoint& local) noexcept
        : listening_socket("unix_listener", std::move(c)), local_(local) {}
    unix_endpoint local_;
};

} // namespace eddy
