// The system calls behind io_operation, shared by the engines that work on readiness.
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include <eddy/detail/engine.hpp>

namespace eddy::detail {
namespace {

bool is_ready(int fd, short events) noexcept {
    pollfd p{fd, events, 0};
    return ::poll(&p, 1, 0) > 0;
}

int accept_one(int fd, io_operation& op) noexcept {
    auto* address = static_cast<sockaddr*>(op.buffer);
    auto size = static_cast<socklen_t>(op.length);
    const int got = ::accept4(fd, address, address ? &size : nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (got >= 0) op.length = size;
    return got;
}

// Started by `connect`, finished when the socket is writable.
int connect_step(int fd, const io_operation& op, bool ready) noexcept {
    if (!ready) return ::connect(fd, static_cast<const sockaddr*>(op.buffer), static_cast<socklen_t>(op.length));
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return -1;
    errno = error;
    return error == 0 ? 0 : -1;
}

std::ptrdiff_t write_parts(int fd, const io_operation& op) noexcept {
    const auto* parts = static_cast<const msghdr*>(op.buffer);
    if (op.is_socket) return ::sendmsg(fd, parts, MSG_NOSIGNAL);
    return ::writev(fd, parts->msg_iov, static_cast<int>(parts->msg_iovlen));
}

std::ptrdiff_t attempt(int fd, io_operation& op, bool ready) noexcept {
    switch (op.opcode) {
    case io_opcode::read: return op.is_socket ? ::recv(fd, op.buffer, op.length, 0) : ::read(fd, op.buffer, op.length);
    case io_opcode::write:
        return op.is_socket ? ::send(fd, op.buffer, op.length, MSG_NOSIGNAL) : ::write(fd, op.buffer, op.length);
    case io_opcode::write_parts: return write_parts(fd, op);
    case io_opcode::accept: return accept_one(fd, op);
    case io_opcode::connect: return connect_step(fd, op, ready);
    case io_opcode::receive_message: return ::recvmsg(fd, static_cast<msghdr*>(op.buffer), MSG_CMSG_CLOEXEC);
    case io_opcode::send_message: return ::sendmsg(fd, static_cast<const msghdr*>(op.buffer), MSG_NOSIGNAL);
    case io_opcode::receive_messages:
        return ::recvmmsg(fd, static_cast<mmsghdr*>(op.buffer), static_cast<unsigned>(op.length), MSG_CMSG_CLOEXEC | MSG_DONTWAIT, nullptr);
    case io_opcode::send_messages:
        return ::sendmmsg(fd, static_cast<mmsghdr*>(op.buffer), static_cast<unsigned>(op.length), MSG_NOSIGNAL | MSG_DONTWAIT);
    case io_opcode::wait_read:
    case io_opcode::wait_write:
        if (ready || is_ready(fd, op.opcode == io_opcode::wait_read ? POLLIN : POLLOUT)) return 0;
        errno = EAGAIN;
        return -1;
    }
    errno = EINVAL;
    return -1;
}

bool would_block(int error, io_opcode o) noexcept {
    return error == EAGAIN || error == EWOULDBLOCK || (o == io_opcode::connect && error == EINPROGRESS);
}

constexpr int most_broken_connections = 64; // skipped in one call: others want their turn as well

// accept reports errors of the connection it would have given (accept(2)): a reset before it was accepted, a
// firewall's rule, the network going down under it. They are no failure of the listener, and that connection is off the queue.
bool concerns_one_connection(int error) noexcept {
    switch (error) {
    case ECONNABORTED:
    case EPERM: // a firewall forbids it
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETUNREACH:
#ifdef ENONET
    case ENONET:
#endif
        return true;
    default: return false;
    }
}

bool perform_any(int fd, io_operation& op, bool ready) noexcept {
    for (int skipped = 0;;) {
        const std::ptrdiff_t r = attempt(fd, op, ready);
        const int error = r < 0 ? errno : 0;
        if (error != 0) {
            if (would_block(error, op.opcode)) return false;
            if (error == EINTR) {
                if (op.opcode == io_opcode::connect) return false; // goes on in the kernel
                continue;
            }
            if (op.opcode == io_opcode::accept && concerns_one_connection(error) && ++skipped < most_broken_connections) continue;
        }
        op.result = r;
        op.error = error;
        return true;
    }
}

[[gnu::cold, gnu::noinline]] bool note_error(int fd, io_operation& op) noexcept {
    const int error = errno;
    if (would_block(error, op.opcode)) return false;
    if (error == EINTR) return perform_any(fd, op, false);
    op.error = error;
    return true;
}

} // namespace

bool perform(int fd, io_operation& op, bool ready) noexcept {
    if (op.is_socket && op.opcode == io_opcode::read) return perform_receive(fd, op);
    if (op.is_socket && op.opcode == io_opcode::write) return perform_send(fd, op);
    return perform_any(fd, op, ready);
}

// What servers do all day takes the shortest way.
bool perform_receive(int fd, io_operation& op) noexcept {
    op.result = ::recv(fd, op.buffer, op.length, 0);
    op.error = 0;
    return op.result >= 0 || note_error(fd, op);
}
bool perform_send(int fd, io_operation& op) noexcept {
    op.result = ::send(fd, op.buffer, op.length, MSG_NOSIGNAL);
    op.error = 0;
    return op.result >= 0 || note_error(fd, op);
}

} // namespace eddy::detail
