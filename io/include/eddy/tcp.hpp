// TCP: tcp_connect, tcp_stream, tcp_listener, tcp_listen.
//
//     tcp_stream s = co_await tcp_connect("localhost", 8080, {.timeout = 3s});
//     co_await s.write("hello"sv);
//     std::size_t n = co_await s.read_some(buffer);        // 0 = end
//
// Streams and listeners are bound to the loop that first uses them and belong to its thread. Every descriptor is
// close-on-exec and non-blocking; SIGPIPE is never raised.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/detail/listener.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/endpoint.hpp>
#include <eddy/socket.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy {

class resolver_cache;

/// No address could be connected to. Always this type, whatever the number of addresses.
class connect_error : public std::system_error {
public:
    struct attempt {
        ip_endpoint endpoint;
        std::error_code error;
    };
    connect_error(std::string_view target, std::vector<attempt> attempts);
    /// Each address that was tried, with its error.
    [[nodiscard]] const std::vector<attempt>& attempts() const noexcept { return *attempts_; }

private:
    std::shared_ptr<const std::vector<attempt>> attempts_;
};

/// SO_KEEPALIVE: how the kernel finds out that a silent peer is gone.
struct keep_alive_options {
    std::chrono::seconds idle{60};     // until the first probe
    std::chrono::seconds interval{10}; // between probes
    int probes = 5;                    // unanswered ones, until the connection fails with ETIMEDOUT
};

/// A connected TCP socket. What it can do: <eddy/socket.hpp>. It may be moved, but not while an operation of it is in progress.
class tcp_stream : public stream_socket {
public:
    tcp_stream() noexcept : stream_socket("tcp_stream") {}
    /// Adopts a connected socket and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    explicit tcp_stream(int native_handle);
    tcp_stream(tcp_stream&&) noexcept = default;
    tcp_stream& operator=(tcp_stream&&) noexcept = default;
    /// Closes the socket as `close` does: what was written is still delivered, unless the peer goes on sending. Whoever waits gets
    /// `closed_resource`.
    ~tcp_stream() = default;

    // All of these throw `closed_resource` without a socket, and `std::system_error` if the kernel refuses.
    [[nodiscard]] ip_endpoint local_endpoint() const;
    /// `not_connected` if the peer has reset the connection.
    [[nodiscard]] ip_endpoint remote_endpoint() const;
    /// TCP_NODELAY; on from the start, as in asyncio.
    void set_nodelay(bool on);
    /// SO_KEEPALIVE; off from the start. With the times that were set last, else the kernel's.
    void set_keep_alive(bool on);
    /// On, with these times. `std::invalid_argument` if one is not positive.
    void set_keep_alive(const keep_alive_options& options);
    /// TCP_USER_TIMEOUT: how long what was written may stay unacknowledged until the connection fails; 0: the kernel's limit.
    /// `std::invalid_argument` if it is negative, or more than 2^31 - 1 ms, which are 24 days.
    void set_user_timeout(std::chrono::milliseconds limit);

    // for the library
    explicit tcp_stream(detail::core_owner c) noexcept;
    [[nodiscard]] static tcp_stream accepted(int fd, const detail::stream_core& listener);
};

struct connect_options {
    std::chrono::nanoseconds timeout{0}; // for all of it, look-up included; 0: none. Throws timeout_error.
    /// An address that has not answered for so long is joined by the next one (RFC 8305); 0: one after another.
    std::chrono::nanoseconds happy_eyeballs = std::chrono::milliseconds(250);
    address_family family = address_family::any; // of the addresses: what a name has of the other one is not asked for
    std::optional<ip_endpoint> local = {}; // bound to it; port 0: any. Addresses of the other family fail.
    resolver_cache* cache = nullptr;       // asked instead of `resolve`; outlives the call (<eddy/resolver_cache.hpp>)
    std::string_view bind_to_device = {};  // only what goes out and comes in there: "eth0". Copied by the call
    std::size_t receive_buffer_size = 0;   // bytes, set before the connect, which tells the peer of it; 0: the kernel's choice
    std::size_t send_buffer_size = 0;
};

/// Looks the name up and tries its addresses: IPv6 and IPv4 in turn, the next one when one has failed or is slow; the first that
/// answers wins, and the sockets of all others are closed. Checkpoint; cancelled, no socket is left.
/// Throws `connect_error` with what became of each address, `resolve_error` (<eddy/resolve.hpp>), `timeout_error`.
task<tcp_stream> tcp_connect(std::string host, std::uint16_t port, connect_options options = {},
                                           std::source_location site = std::source_location::current());
task<tcp_stream> tcp_connect(ip_endpoint endpoint, connect_options options = {},
                                           std::source_location site = std::source_location::current());
/// The same with addresses of one's own, in their order; those that are not of `options.family` are left out. None at all, or none
/// of the family: `std::invalid_argument`, for the single one also.
task<tcp_stream> tcp_connect(std::vector<ip_endpoint> endpoints, connect_options options = {},
                                           std::source_location site = std::source_location::current());

struct listen_options {
    int backlog = 1024;
    bool reuse_address = true;
    bool reuse_port = false;              // several sockets share the port, the kernel spreads connections
    address_family family = address_family::any; // of the addresses: what a name has of the other one is not asked for
    bool dual_stack = false;              // an IPv6 endpoint takes IPv4 too: "::" is both, and peers are ::ffff:127.0.0.1
    std::string_view bind_to_device = {}; // only what comes in there: "eth0"
    std::size_t receive_buffer_size = 0;  // of the connections, in bytes; 0: the kernel's choice
    std::size_t send_buffer_size = 0;
    /// Of the connections, from their first moment on: they inherit it. A time that is not positive is `std::invalid_argument`.
    std::optional<keep_alive_options> keep_alive = {};
};

/// A socket that listens. `accept`, `close`, `is_open`, `native_handle`: <eddy/detail/listener.hpp>.
class tcp_listener : public detail::listening_socket<tcp_stream> {
public:
    tcp_listener() noexcept : tcp_listener(detail::core_owner(), ip_endpoint()) {}
    tcp_listener(tcp_listener&&) noexcept = default;
    tcp_listener& operator=(tcp_listener&&) noexcept = default;
    /// Closes the socket; whoever waits in `accept` gets `closed_resource`.
    ~tcp_listener() = default;

    /// A socket that listens; port 0 lets the kernel pick. Throws `std::system_error` that names the endpoint, `std::invalid_argument`
    /// if it is not of `options.family`.
    [[nodiscard]] static tcp_listener bind(const ip_endpoint& endpoint, const listen_options& options = {});
    /// A socket for each of several endpoints, in their order and without doubles, for one server (<eddy/serve.hpp>). All ports that
    /// are 0 are one port, which the kernel picks: if it is taken on one of the addresses another one is tried, sixteen times at most.
    /// IPv6 sockets take IPv6 alone; `dual_stack` is refused beside IPv4 endpoints. Left out are endpoints that are not of
    /// `options.family`, and those of a family that this machine does not have, unless nothing is left then. All or none: throws
    /// `std::system_error` that names the endpoint, `std::invalid_argument` if there is none. After asyncio's create_server.
    [[nodiscard]] static std::vector<tcp_listener> bind(std::span<const ip_endpoint> endpoints, const listen_options& options = {});
    /// Adopts a listening socket and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    explicit tcp_listener(int native_handle);

    /// Also after it was closed.
    [[nodiscard]] ip_endpoint local_endpoint() const;

    /// For the library: the socket for a server.
    [[nodiscard]] tcp_listener lend() noexcept { return tcp_listener(lend_core(), local_); }

private:
    explicit tcp_listener(detail::core_owner c); // of a socket that listens
    tcp_listener(int fd, const ip_endpoint& local);
    tcp_listener(detail::core_owner c, const ip_endpoint& local) noexcept : listening_socket("tcp_listener", std::move(c)), local_(local) {}
    ip_endpoint local_;
};

/// Looks the name up and listens on all of its addresses, as `tcp_listener::bind` does on several endpoints: "localhost" is mostly
/// 127.0.0.1 and ::1; "" is every address of this machine. Checkpoint; cancelled, no socket is left. Throws `std::system_error` that
/// names the endpoint, `resolve_error` (<eddy/resolve.hpp>).
task<std::vector<tcp_listener>> tcp_listen(std::string host, std::uint16_t port, const listen_options& options = {});
/// The same for several names. None at all: `std::invalid_argument`.
task<std::vector<tcp_listener>> tcp_listen(std::vector<std::string> hosts, std::uint16_t port, const listen_options& options = {});

} // namespace eddy
