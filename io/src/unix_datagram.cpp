#include <eddy/unix_datagram.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>

#include "socket_options.hpp"
#include "unix_file.hpp"

namespace eddy {
namespace {

constexpr std::chrono::milliseconds first_room_pause{1};
constexpr std::chrono::milliseconds longest_room_pause{20};

void connect_socket(detail::stream_core& socket, const unix_endpoint& peer) {
    const int error = detail::connect_unix(socket.fd(), peer);
    if (error != 0) throw detail::io_error(error, "connect to", peer.path());
    socket.set_name(peer.path());
}

} // namespace

unix_datagram_socket unix_datagram_socket::bind(std::string_view path, const unix_datagram_options& options) {
    const unix_endpoint e(path);
    detail::core_owner socket = detail::new_unix_socket(SOCK_DGRAM, e);
    detail::bind_unix(*socket, SOCK_DGRAM, e, {options.cleanup, options.replace_stale, options.permissions});
    return unix_datagram_socket(std::move(socket), false);
}

unix_datagram_socket unix_datagram_socket::connect(std::string_view peer) {
    const unix_endpoint e(peer);
    detail::core_owner socket = detail::new_unix_socket(SOCK_DGRAM, e);
    connect_socket(*socket, e);
    return unix_datagram_socket(std::move(socket), true);
}

unix_datagram_socket unix_datagram_socket::connect(std::string_view peer, std::string_view local, const unix_datagram_options& options) {
    const unix_endpoint to(peer);
    const unix_endpoint from(local);
    detail::core_owner socket = detail::new_unix_socket(SOCK_DGRAM, from);
    connect_socket(*socket, to);
    detail::bind_unix(*socket, SOCK_DGRAM, from, {options.cleanup, options.replace_stale, options.permissions});
    return unix_datagram_socket(std::move(socket), true);
}

unix_datagram_socket unix_datagram_socket::adopt(int native_handle) {
    const int fd = detail::prepared(native_handle);
    std::string name = detail::unix_name_of(fd);
    return unix_datagram_socket(detail::adopt_core(fd, true, std::move(name)), detail::has_peer(fd));
}

unix_datagram_sockets unix_datagram_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
        throw std::system_error(errno, std::generic_category(), "unix_datagram_pair");
    detail::core_pair pair = detail::make_core_pair(ends[0], ends[1], true, "the other end of a pair");
    return {unix_datagram_socket(std::move(pair.first), true), unix_datagram_socket(std::move(pair.second), true)};
}

namespace {

bool try_send(detail::stream_core& socket, std::span<const std::byte> bytes, const unix_endpoint& to) {
    detail::send_operation<unix_endpoint> op(socket, bytes, to);
    static_cast<void>(op.try_now());
    if (!op.attempt()) return false;
    op.take();
    return true;
}

// The socket object may be moved or destroyed meanwhile.
task<> send_when_there_is_room(detail::core_ref socket, std::span<const std::byte> bytes, unix_endpoint to) {
    co_await this_task::checkpoint();
    for (std::chrono::milliseconds pause = first_room_pause; !try_send(*socket, bytes, to); pause = std::min(2 * pause, longest_room_pause))
        co_await sleep_for(pause);
}

task<> send_text(detail::core_ref socket, std::string text, unix_endpoint to) {
    co_await send_when_there_is_room(socket, bytes_of(text), to);
}

} // namespace

bool unix_datagram_socket::try_send_to(std::span<const std::byte> bytes, const unix_endpoint& to) {
    return eddy::try_send(core(), bytes, to);
}

task<> unix_datagram_socket::send_to(std::span<const std::byte> bytes, unix_endpoint to) {
    return send_when_there_is_room(detail::core_ref(core()), bytes, to);
}
task<> unix_datagram_socket::send_to(std::string&& text, unix_endpoint to) {
    return send_text(detail::core_ref(core()), std::move(text), to);
}

unix_endpoint unix_datagram_socket::local_endpoint() const {
    return detail::local_unix_endpoint_of(open_descriptor());
}
unix_endpoint unix_datagram_socket::remote_endpoint() const {
    return detail::remote_unix_endpoint_of(open_descriptor());
}

} // namespace eddy
