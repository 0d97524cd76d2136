// Unix-domain datagrams: unix_datagram_socket.
//
//     unix_datagram_socket u = unix_datagram_socket::bind("/run/log.sock", {.cleanup = true});
//     auto got = co_await u.receive_from(buffer);          // got.size got.from got.truncated
//
//     unix_datagram_socket c = unix_datagram_socket::connect("/run/log.sock");
//     co_await c.send("hello"sv);
//
// Unlike UDP's they do not get lost or out of order: who sends to somebody who does not receive waits.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/datagram.hpp>
#include <eddy/task.hpp>
#include <eddy/unix_endpoint.hpp>

namespace eddy {

struct unix_datagram_options {
    bool cleanup = false;        // remove the file when the socket is closed, if it is still ours
    bool replace_stale = false;  // remove a socket file first that belongs to no socket any more
    unsigned permissions = 0777; // of the file, less the umask; from its first moment on
};

/// A Unix-domain datagram socket. What it can do: <eddy/datagram.hpp>.
class unix_datagram_socket : public datagram_socket<unix_endpoint> {
public:
    unix_datagram_socket() noexcept : unix_datagram_socket(detail::core_owner(), false) {}
    unix_datagram_socket(unix_datagram_socket&&) noexcept = default;
    unix_datagram_socket& operator=(unix_datagram_socket&&) noexcept = default;
    /// Closes the socket; whoever waits gets `closed_resource`.
    ~unix_datagram_socket() = default;

    /// A socket with a path, or an abstract name (<eddy/unix_endpoint.hpp>). Throws `std::system_error` that names the path,
    /// `std::invalid_argument` for one that cannot be one.
    [[nodiscard]] static unix_datagram_socket bind(std::string_view path, const unix_datagram_options& options = {});
    /// A socket without a name that sends to `peer`: nobody can answer it.
    [[nodiscard]] static unix_datagram_socket connect(std::string_view peer);
    /// A socket with a path that sends to `peer` and receives from it alone.
    [[nodiscard]] static unix_datagram_socket connect(std::string_view peer, std::string_view local,
                                                      const unix_datagram_options& options = {});
    /// Adopts a socket and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    [[nodiscard]] static unix_datagram_socket adopt(int native_handle);

    /// Awaitable: until the kernel has taken the datagram, for `to`. While the receiver's queue is full it tries again every few
    /// milliseconds, for the kernel tells only a connected socket when there is room: use `connect` for many datagrams to one peer.
    /// Tasks that wait do not keep each other up: what they send may pass each other. Checkpoint; cancelled, it was not sent.
    /// Throws `std::system_error` that names `to`, `std::invalid_argument` for an empty one. Also on a connected socket it goes to `to`.
    task<> send_to(std::span<const std::byte> bytes, unix_endpoint to);
    task<> send_to(std::string_view text, unix_endpoint to) { return send_to(bytes_of(text), to); }
    task<> send_to(const char* text, unix_endpoint to) { return send_to(std::string_view(text), to); }
    /// A string that goes, a temporary, is kept by the task.
    task<> send_to(std::string&& text, unix_endpoint to);
    /// Without waiting: false if the kernel has no room.
    [[nodiscard]] bool try_send_to(std::span<const std::byte> bytes, const unix_endpoint& to);
    [[nodiscard]] bool try_send_to(std::string_view text, const unix_endpoint& to) { return try_send_to(bytes_of(text), to); }

    /// Empty if it has no name.
    [[nodiscard]] unix_endpoint local_endpoint() const;
    /// Of a connected socket; else `std::errc::not_connected`.
    [[nodiscard]] unix_endpoint remote_endpoint() const;

private:
    friend struct unix_datagram_sockets unix_datagram_pair();
    unix_datagram_socket(detail::core_owner c, bool connected) noexcept
        : datagram_socket("unix_datagram_socket", std::move(c), connected) {}
};

struct unix_datagram_sockets {
    unix_datagram_socket a;
    unix_datagram_socket b;
};
/// Two sockets that are connected with each other. Throws `std::system_error`.
[[nodiscard]] unix_datagram_sockets unix_datagram_pair();

} // namespace eddy
