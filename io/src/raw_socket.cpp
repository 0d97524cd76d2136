#include <eddy/raw_socket.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>

#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>

#include "socket_options.hpp"

namespace eddy {
namespace {

constexpr std::chrono::milliseconds first_queue_pause{1};
constexpr std::chrono::milliseconds longest_queue_pause{50};

using address_function = int (*)(int, sockaddr*, socklen_t*);

/// 0, or the errno.
int get_address(int fd, address_function get, socket_address& out) noexcept {
    socklen_t size = socket_address::capacity();
    if (get(fd, out.data(), &size) != 0) return errno;
    out.resize(size);
    return 0;
}

socket_address address_of(int fd, address_function get, const char* what) {
    socket_address a;
    const int error = get_address(fd, get, a);
    if (error != 0) throw std::system_error(error, std::generic_category(), what);
    return a;
}

/// The address of the end that has one, the peer's first.
std::string raw_name_of(int fd) {
    for (const address_function get : {&::getpeername, &::getsockname}) {
        socket_address a;
        if (get_address(fd, get, a) == 0 && !a.empty() && !(a.unix_path() && a.unix_path()->empty())) return a.to_string();
    }
    return "a socket without a name";
}

int connect_now(int fd, const socket_address& peer) noexcept {
    for (;;) {
        const int error = ::connect(fd, peer.data(), static_cast<socklen_t>(peer.size())) == 0 ? 0 : errno;
        if (error != EINTR) return error;
    }
}

// See unix_connect: that there is room is told to nobody, and EAGAIN would pass for a connect that goes on.
task<> connect_local(detail::core_ref socket, socket_address peer) {
    co_await this_task::checkpoint();
    for (std::chrono::milliseconds pause = first_queue_pause;; pause = std::min(2 * pause, longest_queue_pause)) {
        if (!socket->is_open()) throw closed_resource("connect " + socket->name() + ": it was closed on our side");
        const int error = connect_now(socket->fd(), peer);
        if (error == 0) break;
        if (error != EAGAIN) throw detail::io_error(error, "connect to", peer.to_string());
        co_await sleep_for(pause);
    }
    socket->set_name(peer.to_string());
}

task<> connect_elsewhere(detail::core_ref socket, socket_address peer) {
    detail::raw_connect_operation connecting(*socket, peer);
    try {
        co_await connecting;
    } catch (const operation_cancelled&) {
        if (connecting.begun()) socket->close();
        throw;
    }
    socket->set_name(peer.to_string());
}

} // namespace

raw_socket::kind raw_socket::kind_of(int fd) {
    return detail::get_option(fd, SOL_SOCKET, SO_TYPE, "raw_socket: type of the socket") == SOCK_STREAM ? kind::bytes : kind::messages;
}

raw_socket::raw_socket(int domain, int type, int protocol) : raw_socket() {
    const std::string text = "a socket of domain " + std::to_string(domain) + ", type " + std::to_string(type);
    const int fd = ::socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), text);
    detail::core_owner core = detail::make_core(fd, true, [&text] { return text; });
    const kind k = kind_of(fd);
    *this = raw_socket(std::move(core), k);
}

raw_socket::raw_socket(int native_handle) : raw_socket() {
    const int fd = detail::prepared(native_handle);
    const kind k = kind_of(fd);
    *this = raw_socket(detail::adopt_core(fd, true, raw_name_of(fd)), k);
}

raw_socket raw_socket::accepted(int fd, const detail::stream_core& listener) {
    detail::core_owner core = detail::make_core(fd, true, [&listener] { return "a client of " + listener.name(); });
    const kind k = kind_of(fd);
    return {std::move(core), k};
}

raw_sockets raw_socket_pair(int domain, int type, int protocol) {
    std::array<int, 2> ends{};
    if (::socketpair(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol, ends.data()) != 0)
        throw std::system_error(errno, std::generic_category(), "raw_socket_pair");
    detail::core_pair pair = detail::make_core_pair(ends[0], ends[1], true, "the other end of a pair");
    const raw_socket::kind k = raw_socket::kind_of(ends[0]);
    return {raw_socket(std::move(pair.first), k), raw_socket(std::move(pair.second), k)};
}

void raw_socket::bind(const socket_address& address) {
    const int fd = open_descriptor();
    if (::bind(fd, address.data(), static_cast<socklen_t>(address.size())) != 0)
        throw detail::io_error(errno, "bind to", address.to_string());
    core().set_name(raw_name_of(fd));
}

void raw_socket::listen(int backlog) {
    if (::listen(open_descriptor(), backlog) != 0) throw detail::io_error(errno, "listen on", core().name());
}

task<> raw_socket::connect(const socket_address& peer) {
    detail::core_ref socket(core());
    return peer.family() == AF_UNIX ? connect_local(std::move(socket), peer) : connect_elsewhere(std::move(socket), peer);
}

socket_address raw_socket::local_address() const {
    return address_of(open_descriptor(), &::getsockname, "local_address");
}
socket_address raw_socket::remote_address() const {
    return address_of(open_descriptor(), &::getpeername, "remote_address");
}

void raw_socket::set_option(int level, int name, int value) {
    detail::set_option(open_descriptor(), level, name, value, "raw_socket::set_option");
}
int raw_socket::option(int level, int name) const {
    return detail::get_option(open_descriptor(), level, name, "raw_socket::option");
}

void raw_socket::throw_wrong_kind(const char* doing) const {
    const bool of_bytes = kind_ == kind::bytes;
    throw std::logic_error("raw_socket::" + std::string(doing) + " on " + core().name() + ": it carries " +
                           (of_bytes ? "bytes, without limits between them; use write" : "messages; use receive and send"));
}

} // namespace eddy
