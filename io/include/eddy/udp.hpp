// UDP: udp_socket.
//
//     udp_socket u = udp_socket::bind({"127.0.0.1", 0});
//     co_await u.send_to("hello"sv, peer);
//     auto got = co_await u.receive_from(buffer);          // got.size got.from got.truncated
//
//     udp_socket c = udp_socket::connect(peer);            // one peer: send, receive, and errors of the network
//     co_await c.send("hello"sv);
//
// Datagrams may get lost, doubled and out of order on their way, as UDP is. Those that come while the receive buffer is full are
// dropped by the kernel: receive in a task that does nothing else, or enlarge the buffer.
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include <eddy/datagram.hpp>
#include <eddy/endpoint.hpp>

namespace eddy {

struct udp_options {
    bool reuse_address = false;           // other sockets with this option may have the port too: for multicast
    bool reuse_port = false;              // several sockets share the port, the kernel spreads datagrams by their sender
    bool broadcast = false;               // may send to broadcast addresses
    bool dual_stack = false;              // an IPv6 endpoint takes IPv4 too: "::" is both, and peers are ::ffff:127.0.0.1
    std::string_view bind_to_device = {}; // only what comes in and goes out there: "eth0"
    std::size_t receive_buffer_size = 0;  // bytes; 0: the kernel's choice
    std::size_t send_buffer_size = 0;
};

/// A UDP socket. What it can do: <eddy/datagram.hpp>.
class udp_socket : public datagram_socket<ip_endpoint> {
public:
    udp_socket() noexcept : udp_socket(detail::core_owner(), false) {}
    udp_socket(udp_socket&&) noexcept = default;
    udp_socket& operator=(udp_socket&&) noexcept = default;
    /// Closes the socket; whoever waits gets `closed_resource`.
    ~udp_socket() = default;

    /// A socket with an address of its own; port 0 lets the kernel pick. Throws `std::system_error` that names the endpoint.
    [[nodiscard]] static udp_socket bind(const ip_endpoint& endpoint, const udp_options& options = {});
    /// A socket that sends to `peer` and receives from it alone. Nothing is sent for that. Throws `std::system_error`.
    [[nodiscard]] static udp_socket connect(const ip_endpoint& peer, const udp_options& options = {});
    /// The same, from an address of our choice.
    [[nodiscard]] static udp_socket connect(const ip_endpoint& peer, const ip_endpoint& local, const udp_options& options = {});
    /// Adopts a socket and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    [[nodiscard]] static udp_socket adopt(int native_handle);

    /// Awaitable: until the kernel has taken the datagram, for `to`; waits while the kernel has no room. Checkpoint; cancelled, it was
    /// not sent. Throws `std::system_error` that names `to`: `message_size` if it is too long for UDP; `std::invalid_argument` for port
    /// 0. Also on a connected socket it goes to `to`.
    detail::send_operation<ip_endpoint> send_to(std::span<const std::byte> bytes, const ip_endpoint& to) { return {core(), bytes, to}; }
    detail::send_operation<ip_endpoint> send_to(std::string_view text, const ip_endpoint& to) { return send_to(bytes_of(text), to); }
    /// Without waiting: false if the kernel has no room or other sends wait.
    [[nodiscard]] bool try_send_to(std::span<const std::byte> bytes, const ip_endpoint& to) { return attempt(send_to(bytes, to)); }
    [[nodiscard]] bool try_send_to(std::string_view text, const ip_endpoint& to) { return try_send_to(bytes_of(text), to); }

    // All of these throw `closed_resource` without a socket, and `std::system_error` if the kernel refuses.
    /// The address that it has, be it from `bind` or by its first send; port 0 before.
    [[nodiscard]] ip_endpoint local_endpoint() const;
    /// Of a connected socket; else `std::errc::not_connected`.
    [[nodiscard]] ip_endpoint remote_endpoint() const;

    /// SO_BROADCAST: without it a send to a broadcast address is `permission_denied`. Off from the start.
    void set_broadcast(bool on);
    /// How many routers a datagram may pass (IP_TTL, IPV6_UNICAST_HOPS).
    void set_ttl(int hops);
    /// Receives what is sent to `group`, on the interface called `interface`, else on the one that the routes say. The socket has to be
    /// bound to the group's port. Throws `std::system_error` that names the group.
    void join_multicast(const ip_endpoint& group, std::string_view interface = {});
    /// As it was joined, by the same interface; else `std::system_error` that names the group (EADDRNOTAVAIL).
    void leave_multicast(const ip_endpoint& group, std::string_view interface = {});
    /// How many routers a multicast datagram of ours may pass; 1 from the start: it stays in the local network.
    void set_multicast_ttl(int hops);
    /// Do members on this machine get what we send to a group? On from the start.
    void set_multicast_loop(bool on);
    /// The interface that multicast datagrams of ours leave by. Throws `std::system_error` that names it.
    void set_multicast_interface(std::string_view interface);

private:
    udp_socket(detail::core_owner c, bool connected) noexcept : datagram_socket("udp_socket", std::move(c), connected) {}
};

} // namespace eddy
