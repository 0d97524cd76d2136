#include <eddy/udp.hpp>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "socket_options.hpp"

namespace eddy {
namespace {

detail::core_owner new_socket(const ip_endpoint& e, const udp_options& options) {
    const int fd = ::socket(e.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) throw detail::io_error(errno, "socket for", e.to_string());
    detail::core_owner socket = detail::make_core(fd, true, [&e] { return e.to_string(); });
    if (options.reuse_address) detail::set_option(fd, SOL_SOCKET, SO_REUSEADDR, true, "SO_REUSEADDR");
    if (options.reuse_port) detail::set_option(fd, SOL_SOCKET, SO_REUSEPORT, true, "SO_REUSEPORT");
    if (options.broadcast) detail::set_option(fd, SOL_SOCKET, SO_BROADCAST, true, "SO_BROADCAST");
    if (e.is_v6()) detail::set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options.dual_stack, "IPV6_V6ONLY");
    detail::bind_to_device(fd, options.bind_to_device);
    detail::set_buffer_size(fd, SO_RCVBUF, options.receive_buffer_size, "receive_buffer_size");
    detail::set_buffer_size(fd, SO_SNDBUF, options.send_buffer_size, "send_buffer_size");
    return socket;
}

void bind_socket(int fd, const ip_endpoint& e) {
    if (::bind(fd, e.data(), static_cast<socklen_t>(e.size())) != 0) throw detail::io_error(errno, "bind to", e.to_string());
}

void connect_socket(int fd, const ip_endpoint& e) {
    int error = EINTR; // it only sets the peer, so that it can be said again
    while (error == EINTR) error = ::connect(fd, e.data(), static_cast<socklen_t>(e.size())) == 0 ? 0 : errno;
    if (error != 0) throw detail::io_error(error, "connect to", e.to_string());
}

bool is_v6(int fd) {
    return detail::local_endpoint_of(fd).is_v6();
}

unsigned interface_index(std::string_view name) {
    if (name.empty()) return 0;
    const std::string text(name);
    const unsigned index = ::if_nametoindex(text.c_str());
    if (index == 0) throw detail::io_error(errno, "multicast on interface", name);
    return index;
}

/// Option numbers of the two families.
void set_for_family(int fd, int v4_option, int v6_option, int value, const char* what) {
    if (is_v6(fd)) detail::set_option(fd, IPPROTO_IPV6, v6_option, value, what);
    else detail::set_option(fd, IPPROTO_IP, v4_option, value, what);
}

// RFC 3678: one form for both families.
void change_membership(int fd, const ip_endpoint& group, std::string_view interface, int option, const char* doing) {
    group_req request{};
    request.gr_interface = interface_index(interface);
    std::memcpy(&request.gr_group, group.data(), group.size());
    if (::setsockopt(fd, group.is_v6() ? IPPROTO_IPV6 : IPPROTO_IP, option, &request, sizeof request) != 0)
        throw detail::io_error(errno, doing, group.address());
}

} // namespace

udp_socket udp_socket::bind(const ip_endpoint& endpoint, const udp_options& options) {
    detail::core_owner socket = new_socket(endpoint, options);
    bind_socket(socket->fd(), endpoint);
    socket->set_name(detail::local_endpoint_of(socket->fd()).to_string());
    return udp_socket(std::move(socket), false);
}

udp_socket udp_socket::connect(const ip_endpoint& peer, const udp_options& options) {
    detail::core_owner socket = new_socket(peer, options);
    connect_socket(socket->fd(), peer);
    return udp_socket(std::move(socket), true);
}

udp_socket udp_socket::connect(const ip_endpoint& peer, const ip_endpoint& local, const udp_options& options) {
    detail::core_owner socket = new_socket(local, options);
    bind_socket(socket->fd(), local);
    connect_socket(socket->fd(), peer);
    socket->set_name(peer.to_string());
    return udp_socket(std::move(socket), true);
}

udp_socket udp_socket::adopt(int native_handle) {
    const int fd = detail::prepared(native_handle);
    const bool connected = detail::has_peer(fd);
    std::string name = (connected ? detail::remote_endpoint_of(fd) : detail::local_endpoint_of(fd)).to_string();
    return udp_socket(detail::adopt_core(fd, true, std::move(name)), connected);
}

ip_endpoint udp_socket::local_endpoint() const {
    return detail::local_endpoint_of(open_descriptor());
}
ip_endpoint udp_socket::remote_endpoint() const {
    return detail::remote_endpoint_of(open_descriptor());
}

void udp_socket::set_broadcast(bool on) {
    detail::set_option(open_descriptor(), SOL_SOCKET, SO_BROADCAST, on, "set_broadcast");
}
void udp_socket::set_ttl(int hops) {
    set_for_family(open_descriptor(), IP_TTL, IPV6_UNICAST_HOPS, hops, "set_ttl");
}
void udp_socket::join_multicast(const ip_endpoint& group, std::string_view interface) {
    change_membership(open_descriptor(), group, interface, MCAST_JOIN_GROUP, "join multicast group");
}
void udp_socket::leave_multicast(const ip_endpoint& group, std::string_view interface) {
    change_membership(open_descriptor(), group, interface, MCAST_LEAVE_GROUP, "leave multicast group");
}
void udp_socket::set_multicast_ttl(int hops) {
    set_for_family(open_descriptor(), IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, hops, "set_multicast_ttl");
}
void udp_socket::set_multicast_loop(bool on) {
    set_for_family(open_descriptor(), IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, on, "set_multicast_loop");
}
void udp_socket::set_multicast_interface(std::string_view interface) {
    const int fd = open_descriptor();
    const auto index = static_cast<int>(interface_index(interface));
    if (is_v6(fd)) {
        detail::set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index, "set_multicast_interface");
        return;
    }
    ip_mreqn request{};
    request.imr_ifindex = index;
    if (::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) != 0)
        throw detail::io_error(errno, "set_multicast_interface", interface);
}

} // namespace eddy
