#include "shared_descriptor.hpp"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "file_handle.hpp"

namespace eddy::detail {
namespace {

bool ready_for(int fd, short events) noexcept {
    pollfd p{fd, events, 0};
    return ::poll(&p, 1, 0) > 0;
}

/// The kernel, or this kind of file, has no RWF_NOWAIT.
bool is_refused(std::ptrdiff_t result) noexcept {
    return result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL);
}

std::ptrdiff_t would_block() noexcept {
    errno = EAGAIN;
    return -1;
}

std::ptrdiff_t read_unshared(int fd, std::span<std::byte> out) noexcept {
    const iovec part{out.data(), out.size()};
    const std::ptrdiff_t n = ::preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    if (!is_refused(n)) return n;
    return ready_for(fd, POLLIN) ? ::read(fd, out.data(), out.size()) : would_block();
}

std::ptrdiff_t write_unshared(int fd, std::span<const std::byte> bytes) noexcept {
    const iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()}; // only read from
    const std::ptrdiff_t n = ::pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    if (!is_refused(n)) return n;
    return ready_for(fd, POLLOUT) ? ::write(fd, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF)) : would_block();
}

/// The controlling side: to open it again would make another terminal.
bool is_terminal_master(int fd) noexcept {
    int number = 0;
    return ::ioctl(fd, TIOCGPTN, &number) == 0;
}

} // namespace

shared_descriptor::shared_descriptor(int fd, direction d, std::string name) : fd_(fd), name_(std::move(name)) {
    struct stat st {};
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fstat(fd, &st) != 0) fail(errno, "cannot use");
    const int mode = flags & O_ACCMODE;
    if (mode == (d == direction::in ? O_WRONLY : O_RDONLY)) fail(EBADF, d == direction::in ? "cannot read from" : "cannot write to");
    if (S_ISSOCK(st.st_mode)) kind_ = kind::socket;
    is_terminal_ = ::isatty(fd) == 1;
    if (is_terminal_ && !is_terminal_master(fd)) open_again(d);
    // It may be stopped (^S), and a write then waits however little it is.
    if (is_terminal_ && own_ < 0 && d == direction::out) return;
    try {
        watch_for(d);
    } catch (...) {
        if (own_ >= 0) ::close(own_);
        throw;
    }
}

shared_descriptor::~shared_descriptor() {
    if (set_ >= 0) ::close(set_);
    if (own_ >= 0) ::close(own_);
}

void shared_descriptor::open_again(direction d) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd_);
    const int mode = d == direction::in ? O_RDONLY : O_WRONLY;
    const int fd = uninterrupted([&] { return ::open(path.c_str(), mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); });
    if (fd < 0) return;
    struct stat ours {};
    struct stat theirs {};
    const bool same = ::fstat(fd, &ours) == 0 && ::fstat(fd_, &theirs) == 0 && ours.st_rdev == theirs.st_rdev && ::isatty(fd) == 1;
    if (!same) {
        ::close(fd);
        return;
    }
    own_ = fd;
    kind_ = kind::own;
}

void shared_descriptor::watch_for(direction d) {
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) fail(errno, "cannot watch");
    epoll_event e{};
    e.events = d == direction::in ? EPOLLIN : EPOLLOUT;
    if (::epoll_ctl(set, EPOLL_CTL_ADD, own_ >= 0 ? own_ : fd_, &e) == 0) {
        set_ = set;
        return;
    }
    const int error = errno;
    ::close(set);
    if (error != EPERM) fail(error, "cannot watch"); // EPERM: a file, a directory, /dev/null
}

std::ptrdiff_t shared_descriptor::read_now(std::span<std::byte> out) const {
    const std::ptrdiff_t n = uninterrupted([&] {
        switch (kind_) {
        case kind::own: return static_cast<std::ptrdiff_t>(::read(own_, out.data(), out.size()));
        case kind::socket: return static_cast<std::ptrdiff_t>(::recv(fd_, out.data(), out.size(), MSG_DONTWAIT));
        case kind::other: break;
        }
        return read_unshared(fd_, out);
    });
    return outcome_of(n, "read from");
}

std::ptrdiff_t shared_descriptor::write_now(std::span<const std::byte> bytes) const {
    const std::ptrdiff_t n = uninterrupted([&] {
        switch (kind_) {
        case kind::own: return static_cast<std::ptrdiff_t>(::write(own_, bytes.data(), bytes.size()));
        case kind::socket: return static_cast<std::ptrdiff_t>(::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
        case kind::other: break;
        }
        return write_unshared(fd_, bytes);
    });
    return outcome_of(n, "write to");
}

// EAGAIN also where somebody else has set O_NONBLOCK.
std::ptrdiff_t shared_descriptor::outcome_of(std::ptrdiff_t result, const char* doing) const {
    if (result >= 0) return result;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return would_wait;
    fail(errno, doing);
}

std::size_t shared_descriptor::read_waiting(std::span<std::byte> out) const {
    const auto n = uninterrupted([&] { return ::read(fd_, out.data(), out.size()); });
    if (n < 0) fail(errno, "read from");
    return static_cast<std::size_t>(n);
}

shared_descriptor::written shared_descriptor::write_waiting(std::span<const std::byte> bytes) const noexcept {
    written done;
    while (done.size < bytes.size()) {
        const std::span<const std::byte> rest = bytes.subspan(done.size);
        const auto n = uninterrupted([&] { return ::write(fd_, rest.data(), rest.size()); });
        if (n >= 0)
            done.size += static_cast<std::size_t>(n);
        else if (errno == EAGAIN) { // somebody else made it non-blocking
            pollfd p{fd_, POLLOUT, 0};
            ::poll(&p, 1, -1);
        } else {
            done.error = errno;
            break;
        }
    }
    return done;
}

void shared_descriptor::fail(int error, const char* doing) const {
    throw std::system_error(error, std::generic_category(), std::string(doing) + " " + name_);
}

} // namespace eddy::detail
