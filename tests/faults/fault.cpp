// Not together with other sources (unity build): the headers of the C library may declare its functions otherwise there.
#include "faults/fault.hpp"
#include "faults/shim.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

namespace fault {
namespace {

constexpr std::array descriptions{
    description{call::accept4, "accept4", true, 5, {EMFILE, ENFILE, ENOMEM, ENOBUFS, ECONNABORTED}},
    description{call::access, "access", false, 2, {EIO, ENOMEM}},
    description{call::bind, "bind", false, 2, {EADDRINUSE, ENOMEM}},
    description{call::close, "close", true, 1, {EIO}},
    description{call::connect, "connect", true, 2, {ECONNREFUSED, ENOMEM}},
    description{call::epoll_add, "epoll_ctl", false, 2, {ENOMEM, ENOSPC}},
    description{call::epoll_create1, "epoll_create1", false, 2, {EMFILE, ENOMEM}},
    description{call::epoll_wait, "epoll_wait", true, 0, {}},
    description{call::eventfd, "eventfd", false, 2, {EMFILE, ENOMEM}},
    description{call::fchmod, "fchmod", false, 1, {EIO}},
    description{call::fchown, "fchown", false, 2, {EPERM, EIO}},
    description{call::fdatasync, "fdatasync", true, 3, {EIO, ENOSPC, EDQUOT}},
    description{call::fdopendir, "fdopendir", false, 1, {ENOMEM}},
    description{call::flock, "flock", true, 1, {ENOLCK}},
    description{call::fstat, "fstat", false, 1, {EIO}},
    description{call::fstatat, "fstatat", false, 2, {EIO, ENOMEM}},
    description{call::fsync, "fsync", true, 2, {EIO, ENOSPC}},
    description{call::ftruncate, "ftruncate", true, 1, {EIO}},
    description{call::futimens, "futimens", false, 2, {EPERM, EROFS}},
    description{call::duplicate, "fcntl", false, 1, {EMFILE}},
    description{call::getaddrinfo, "getaddrinfo", false, 3, {EAI_AGAIN, EAI_MEMORY, EAI_FAIL}},
    description{call::getnameinfo, "getnameinfo", false, 3, {EAI_AGAIN, EAI_MEMORY, EAI_FAIL}},
    description{call::getpeername, "getpeername", false, 1, {ENOTCONN}},
    description{call::getsockname, "getsockname", false, 1, {ENOBUFS}},
    description{call::getsockopt, "getsockopt", false, 1, {ENOBUFS}},
    description{call::grantpt, "grantpt", false, 1, {EACCES}},
    description{call::if_nametoindex, "if_nametoindex", false, 2, {EMFILE, ENOMEM}},
    description{call::inotify_add_watch, "inotify_add_watch", false, 2, {ENOMEM, ENOSPC}},
    description{call::inotify_init1, "inotify_init1", false, 2, {EMFILE, ENOMEM}},
    description{call::inotify_rm_watch, "inotify_rm_watch", false, 1, {EINVAL}},
    description{call::ioctl, "ioctl", false, 1, {EIO}},
    description{call::kill, "kill", false, 2, {EPERM, ESRCH}},
    description{call::killpg, "killpg", false, 2, {EPERM, ESRCH}},
    description{call::listen, "listen", false, 1, {EADDRINUSE}},
    description{call::lseek, "lseek", false, 2, {ESPIPE, EOVERFLOW}},
    description{call::lstat, "lstat", false, 2, {EIO, ENOMEM}},
    description{call::mkdir, "mkdir", false, 2, {ENOSPC, ENOMEM}},
    description{call::open, "open", true, 2, {EMFILE, ENOMEM}},
    description{call::openat, "openat", true, 2, {EMFILE, ENOMEM}},
    description{call::openat_folder, "openat of a folder", false, 2, {EMFILE, ENOMEM}},
    description{call::openat2, "openat2", true, 4, {EMFILE, ENOMEM, ENOSYS, EAGAIN}},
    description{call::pidfd_open, "pidfd_open", false, 2, {EMFILE, ENOMEM}},
    description{call::pidfd_send_signal, "pidfd_send_signal", false, 2, {EPERM, ESRCH}},
    description{call::pipe2, "pipe2", false, 1, {EMFILE}},
    description{call::poll, "poll", true, 0, {}},
    description{call::posix_fadvise, "posix_fadvise", true, 1, {ESPIPE}},
    description{call::posix_fallocate, "posix_fallocate", true, 3, {ENOSPC, EOPNOTSUPP, EFBIG}},
    description{call::posix_openpt, "posix_openpt", false, 2, {EMFILE, ENOSPC}},
    description{call::posix_spawn, "posix_spawn", false, 2, {EAGAIN, ENOMEM}},
    description{call::pread, "pread", true, 1, {EIO}},
    description{call::preadv2, "preadv2", true, 2, {EIO, EOPNOTSUPP}},
    description{call::pthread_create, "pthread_create", false, 1, {EAGAIN}},
    description{call::ptsname_r, "ptsname_r", false, 1, {ENOTTY}},
    description{call::pwrite, "pwrite", true, 2, {EIO, ENOSPC}},
    description{call::pwritev2, "pwritev2", true, 2, {EIO, EOPNOTSUPP}},
    description{call::read, "read", true, 1, {EIO}},
    description{call::readdir, "readdir", false, 1, {EIO}},
    description{call::realpath, "realpath", false, 2, {EIO, ENOMEM}},
    description{call::recv, "recv", true, 2, {ECONNRESET, ENOMEM}},
    description{call::recvmmsg, "recvmmsg", true, 2, {ECONNREFUSED, ENOMEM}},
    description{call::recvmsg, "recvmsg", true, 2, {ECONNREFUSED, ENOMEM}},
    description{call::rename, "rename", false, 2, {EIO, ENOSPC}},
    description{call::ring_cancel, "a cancellation in the ring", false, 1, {ENOENT}},
    description{call::ring_close, "close in the ring", true, 1, {EIO}},
    description{call::ring_dontfork, "io_uring_ring_dontfork", false, 1, {EINVAL}},
    description{call::ring_open, "openat in the ring", true, 5, {EMFILE, EIO, ENOSPC, ENOMEM, ECANCELED}},
    description{call::ring_probe, "io_uring_get_probe_ring", false, 1, {ENOMEM}},
    description{call::ring_read, "read in the ring", true, 3, {EIO, ENOMEM, ECANCELED}},
    description{call::ring_setup, "io_uring_queue_init_params", false, 4, {EMFILE, ENOMEM, EPERM, ENOSYS}},
    description{call::ring_stat, "statx in the ring", true, 3, {EIO, ENOMEM, ECANCELED}},
    description{call::ring_submit, "io_uring_submit", true, 5, {EAGAIN, EBUSY, ENOMEM, EBADF, EPERM}},
    description{call::ring_sync, "fsync in the ring", true, 4, {EIO, ENOSPC, EDQUOT, ECANCELED}},
    description{call::ring_write, "write in the ring", true, 4, {EIO, ENOSPC, EDQUOT, ECANCELED}},
    description{call::send, "send", true, 3, {ECONNRESET, ENOMEM, ENOBUFS}},
    description{call::sendfile, "sendfile", true, 2, {EIO, ENOMEM}},
    description{call::sendmmsg, "sendmmsg", true, 3, {ECONNREFUSED, ENOMEM, ENOBUFS}},
    description{call::sendmsg, "sendmsg", true, 3, {ECONNRESET, ENOMEM, ENOBUFS}},
    description{call::setsockopt, "setsockopt", false, 1, {ENOMEM}},
    description{call::shutdown, "shutdown", false, 1, {ENOBUFS}},
    description{call::socket, "socket", false, 2, {EMFILE, ENOBUFS}},
    description{call::socketpair, "socketpair", false, 2, {EMFILE, ENOMEM}},
    description{call::splice, "splice", true, 2, {EINVAL, ENOMEM}},
    description{call::stat, "stat", false, 2, {EIO, ENOMEM}},
    description{call::syncfs, "syncfs", true, 3, {EIO, ENOSPC, EDQUOT}},
    description{call::timerfd_create, "timerfd_create", false, 1, {EMFILE}},
    description{call::unlink, "unlink", false, 1, {EIO}},
    description{call::unlinkat, "unlinkat", false, 1, {EIO}},
    description{call::unlockpt, "unlockpt", false, 1, {EINVAL}},
    description{call::utimensat, "utimensat", false, 2, {EACCES, EROFS}},
    description{call::waitid, "waitid", true, 0, {}},
    description{call::waitpid, "waitpid", true, 0, {}},
    description{call::write, "write", true, 2, {EIO, ENOSPC}},
    description{call::writev, "writev", true, 2, {EIO, ENOMEM}},
};

enum class kind : std::uint8_t { counting, nth, storm, shortened };

// Read by any thread, in handlers of signals too.
std::atomic<bool> in_force{false};
std::atomic<kind> plan{kind::counting};
std::atomic<call> wanted{};
std::atomic<std::size_t> wanted_number{0}; // in a storm: how many in a row
std::atomic<std::size_t> wanted_in_a_row{1};
std::atomic<int> wanted_error{0};
std::atomic<bool> shortens_tcp_input{true};
std::atomic<std::size_t> injections{0};
std::array<std::atomic<std::size_t>, descriptions.size()> counts;
std::atomic<bool> silence{false}; // of the name servers
std::atomic<std::size_t> unanswered{0};
std::array<std::atomic<bool>, 8192> counters; // descriptors of eventfd and timerfd

void make(kind k, call c, std::size_t number, int error) noexcept {
    plan = k;
    wanted = c;
    wanted_number = number;
    wanted_in_a_row = 1;
    wanted_error = error;
    injections = 0;
    for (std::atomic<std::size_t>& n : counts) n = 0;
}

/// A thread that blocks the signals is not interrupted by them.
bool takes_signals() noexcept {
    sigset_t blocked;
    return ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked) == 0 && ::sigismember(&blocked, SIGUSR1) == 0;
}

bool shortens() noexcept {
    return in_force && plan == kind::shortened;
}
// Of a datagram the rest would be lost, and inotify gives whole events.
bool is_byte_stream(int fd) noexcept {
    struct ::stat s {};
    if (::fstat(fd, &s) != 0) return false;
    if (S_ISREG(s.st_mode) || S_ISFIFO(s.st_mode)) return true;
    int type = 0;
    ::socklen_t size = sizeof type;
    return S_ISSOCK(s.st_mode) && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

} // namespace

// --- for those that stand in the place of others (shim.hpp)

int error_for(call c) noexcept {
    if (!in_force) return 0;
    const auto i = static_cast<std::size_t>(c);
    const std::size_t n = counts[i].fetch_add(1) + 1;
    int error = 0;
    if (plan == kind::nth && wanted == c && n >= wanted_number && n - wanted_number < wanted_in_a_row) error = wanted_error;
    if (plan == kind::storm && descriptions[i].interruptible && n % (wanted_number + 1) != 0) error = EINTR;
    if (error == EINTR && !takes_signals()) return 0;
    if (error != 0) ++injections;
    return error;
}

bool fails(call c) noexcept {
    const int error = error_for(c);
    if (error != 0) errno = error;
    return error != 0;
}

void* looked_up(std::atomic<void*>& address, const char* name) noexcept {
    void* a = address.load(std::memory_order_relaxed);
    if (!a) address.store(a = ::dlsym(RTLD_NEXT, name), std::memory_order_relaxed);
    return a;
}

std::size_t shortened(int fd, std::size_t size) noexcept {
    constexpr std::size_t most = 3;
    if (size <= most || !shortens() || !is_byte_stream(fd)) return size;
    ++injections;
    return most;
}

namespace {

void note_counter(int fd, bool is) noexcept {
    if (fd >= 0 && static_cast<std::size_t>(fd) < counters.size()) counters[static_cast<std::size_t>(fd)] = is;
}
bool is_counter(int fd) noexcept {
    return fd >= 0 && static_cast<std::size_t>(fd) < counters.size() && counters[static_cast<std::size_t>(fd)];
}

/// The standard library's functions for directories open them so; they do not expect a signal to interrupt that. What eddy opens
/// beneath a folder it only looks at (O_PATH), or reads as a file.
bool opens_folder(int flags) noexcept {
    return (flags & O_DIRECTORY) != 0 && (flags & O_PATH) == 0;
}

/// Has `open` an argument for the permissions?
bool creates(int flags) noexcept {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

// The kernel gives all that a TCP connection has (epoll(7)), and the native engine relies on that: it does not try again before more
// has come.
bool gives_all(int fd) noexcept {
    int protocol = 0;
    ::socklen_t size = sizeof protocol;
    return !shortens_tcp_input && ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}
/// At most the first piece, and not all of it.
class short_parts {
public:
    short_parts(int fd, const ::iovec* whole, std::size_t count) noexcept : parts_(whole), count_(count) {
        if (count == 0) return;
        const std::size_t size = shortened(fd, whole->iov_len);
        if (size == whole->iov_len) return;
        piece_ = {whole->iov_base, size};
        parts_ = &piece_;
        count_ = 1;
    }
    short_parts(const short_parts&) = delete;
    short_parts& operator=(const short_parts&) = delete;
    [[nodiscard]] const ::iovec* get() const noexcept { return parts_; }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

private:
    const ::iovec* parts_;
    std::size_t count_;
    ::iovec piece_{};
};
unsigned one_of(unsigned batch) noexcept {
    if (batch <= 1 || !shortens()) return batch;
    ++injections;
    return 1;
}

} // namespace

std::span<const description> all_calls() noexcept {
    return descriptions;
}

void count_calls() noexcept {
    make(kind::counting, call{}, 0, 0);
}
void fail_nth(call what, std::size_t n, int error, std::size_t in_a_row) noexcept {
    make(kind::nth, what, n, error);
    wanted_in_a_row = in_a_row;
}
void eintr_storm(std::size_t in_a_row) noexcept {
    make(kind::storm, call{}, in_a_row, EINTR);
}
void short_transfers(bool tcp_input) noexcept {
    make(kind::shortened, call{}, 0, 0);
    shortens_tcp_input = tcp_input;
}

silent_name_servers::silent_name_servers() noexcept {
    silence = true;
}
silent_name_servers::~silent_name_servers() {
    silence = false;
    silence.notify_all();
}
std::size_t silent_name_servers::asked() noexcept {
    return unanswered;
}

armed::armed() noexcept {
    in_force = true;
}
void armed::disarm() noexcept {
    in_force = false;
}

std::size_t count(call what) noexcept {
    return counts[static_cast<std::size_t>(what)];
}
std::size_t injected() noexcept {
    return injections;
}

} // namespace fault

// --- in the place of the C library's

using fault::call;
using fault::error_for;
using fault::fails;

namespace {

/// A call that moves bytes of one buffer.
template <class Real, class Buffer, class... More>
ssize_t move_bytes(call c, Real real, int fd, Buffer buffer, std::size_t size, More... more) {
    return fails(c) ? -1 : real(fd, buffer, fault::shortened(fd, size), more...);
}

/// The same for several.
template <class Real, class... More>
ssize_t move_parts(call c, Real real, int fd, const iovec* parts, int count, More... more) {
    if (fails(c)) return -1;
    const fault::short_parts some(fd, parts, static_cast<std::size_t>(count));
    return real(fd, some.get(), static_cast<int>(some.count()), more...);
}

} // namespace

extern "C" {

// Sockets

int socket(int domain, int type, int protocol) noexcept {
    EDDY_REAL(socket);
    return fails(call::socket) ? -1 : real(domain, type, protocol);
}
int socketpair(int domain, int type, int protocol, int ends[2]) noexcept {
    EDDY_REAL(socketpair);
    return fails(call::socketpair) ? -1 : real(domain, type, protocol, ends);
}
int bind(int fd, const sockaddr* peer, socklen_t size) noexcept {
    EDDY_REAL(bind);
    return fails(call::bind) ? -1 : real(fd, peer, size);
}
int listen(int fd, int backlog) noexcept {
    EDDY_REAL(listen);
    return fails(call::listen) ? -1 : real(fd, backlog);
}
int accept4(int fd, sockaddr* peer, socklen_t* size, int flags) {
    EDDY_REAL(accept4);
    return fails(call::accept4) ? -1 : real(fd, peer, size, flags);
}
// One that was interrupted goes on in the kernel; Unix-domain sockets connect at once or not at all.
int connect(int fd, const sockaddr* peer, socklen_t size) {
    EDDY_REAL(connect);
    const int error = error_for(call::connect);
    if (error == EINTR && peer->sa_family != AF_UNIX && real(fd, peer, size) != 0 && errno != EINPROGRESS) return -1;
    if (error == 0) return real(fd, peer, size);
    errno = error;
    return -1;
}
int getpeername(int fd, sockaddr* peer, socklen_t* size) noexcept {
    EDDY_REAL(getpeername);
    return fails(call::getpeername) ? -1 : real(fd, peer, size);
}
int getsockname(int fd, sockaddr* peer, socklen_t* size) noexcept {
    EDDY_REAL(getsockname);
    return fails(call::getsockname) ? -1 : real(fd, peer, size);
}
int getsockopt(int fd, int level, int option, void* value, socklen_t* size) noexcept {
    EDDY_REAL(getsockopt);
    return fails(call::getsockopt) ? -1 : real(fd, level, option, value, size);
}
int setsockopt(int fd, int level, int option, const void* value, socklen_t size) noexcept {
    EDDY_REAL(setsockopt);
    return fails(call::setsockopt) ? -1 : real(fd, level, option, value, size);
}
int shutdown(int fd, int how) noexcept {
    EDDY_REAL(shutdown);
    return fails(call::shutdown) ? -1 : real(fd, how);
}
unsigned if_nametoindex(const char* name) noexcept {
    EDDY_REAL(if_nametoindex);
    return fails(call::if_nametoindex) ? 0 : real(name);
}
ssize_t recv(int fd, void* buffer, size_t size, int flags) {
    EDDY_REAL(recv);
    if (fault::gives_all(fd)) return fails(call::recv) ? -1 : real(fd, buffer, size, flags);
    return move_bytes(call::recv, real, fd, buffer, size, flags);
}
ssize_t send(int fd, const void* buffer, size_t size, int flags) {
    EDDY_REAL(send);
    return move_bytes(call::send, real, fd, buffer, size, flags);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
    EDDY_REAL(recvmsg);
    return fails(call::recvmsg) ? -1 : real(fd, message, flags);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    EDDY_REAL(sendmsg);
    if (fails(call::sendmsg)) return -1;
    if (message->msg_controllen > 0) return real(fd, message, flags); // goes with its first byte, once
    const fault::short_parts some(fd, message->msg_iov, message->msg_iovlen);
    msghdr less = *message;
    less.msg_iov = const_cast<iovec*>(some.get()); // only read from
    less.msg_iovlen = some.count();
    return real(fd, &less, flags);
}
int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
    EDDY_REAL(recvmmsg);
    return fails(call::recvmmsg) ? -1 : real(fd, messages, fault::one_of(count), flags, timeout);
}
int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    EDDY_REAL(sendmmsg);
    return fails(call::sendmmsg) ? -1 : real(fd, messages, fault::one_of(count), flags);
}
ssize_t sendfile(int to, int from, off_t* offset, size_t size) noexcept {
    EDDY_REAL(sendfile);
    return fails(call::sendfile) ? -1 : real(to, from, offset, fault::shortened(to, size));
}

ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size, unsigned flags) {
    EDDY_REAL(splice);
    return fails(call::splice) ? -1 : real(from, from_offset, to, to_offset, fault::shortened(from, size), flags);
}

// Names

int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
    EDDY_REAL(getaddrinfo);
    const int error = error_for(call::getaddrinfo);
    ++fault::unanswered;
    fault::silence.wait(true);
    --fault::unanswered;
    return error != 0 ? error : real(name, service, hints, found);
}
int getnameinfo(const sockaddr* of, socklen_t size, char* host, socklen_t host_size, char* service, socklen_t service_size, int flags) {
    EDDY_REAL(getnameinfo);
    const int error = error_for(call::getnameinfo);
    return error != 0 ? error : real(of, size, host, host_size, service, service_size, flags);
}

// Waiting

int epoll_create1(int flags) noexcept {
    EDDY_REAL(epoll_create1);
    return fails(call::epoll_create1) ? -1 : real(flags);
}
// Asio does not look at what becomes of its own eventfd and timerfd, for which it asks for EPOLLERR without EPOLLPRI; nor can the
// kernel run out of memory when it changes what it has or lets go of it.
int epoll_ctl(int set, int operation, int fd, epoll_event* e) noexcept {
    EDDY_REAL(epoll_ctl);
    const bool can_fail = operation == EPOLL_CTL_ADD && (e->events & (EPOLLPRI | EPOLLERR)) != EPOLLERR;
    return can_fail && fails(call::epoll_add) ? -1 : real(set, operation, fd, e);
}
int epoll_wait(int set, epoll_event* events, int most, int timeout) {
    EDDY_REAL(epoll_wait);
    return fails(call::epoll_wait) ? -1 : real(set, events, most, timeout);
}
int poll(pollfd* all, nfds_t size, int timeout) {
    EDDY_REAL(poll);
    return fails(call::poll) ? -1 : real(all, size, timeout);
}
int eventfd(unsigned start, int flags) noexcept {
    EDDY_REAL(eventfd);
    const int fd = fails(call::eventfd) ? -1 : real(start, flags);
    fault::note_counter(fd, true);
    return fd;
}
int timerfd_create(clockid_t clock, int flags) noexcept {
    EDDY_REAL(timerfd_create);
    const int fd = fails(call::timerfd_create) ? -1 : real(clock, flags);
    fault::note_counter(fd, true);
    return fd;
}
int inotify_init1(int flags) noexcept {
    EDDY_REAL(inotify_init1);
    return fails(call::inotify_init1) ? -1 : real(flags);
}
int inotify_add_watch(int fd, const char* path, uint32_t mask) noexcept {
    EDDY_REAL(inotify_add_watch);
    return fails(call::inotify_add_watch) ? -1 : real(fd, path, mask);
}
int inotify_rm_watch(int fd, int watch) noexcept {
    EDDY_REAL(inotify_rm_watch);
    return fails(call::inotify_rm_watch) ? -1 : real(fd, watch);
}
int ioctl(int fd, unsigned long request, ...) noexcept {
    EDDY_REAL(ioctl);
    va_list more;
    va_start(more, request);
    void* const argument = va_arg(more, void*);
    va_end(more);
    const bool can_fail = !fault::is_counter(fd);
    return can_fail && fails(call::ioctl) ? -1 : real(fd, request, argument);
}

// Descriptors

ssize_t read(int fd, void* buffer, size_t size) {
    EDDY_REAL(read);
    if (fault::is_counter(fd)) return real(fd, buffer, size);
    return move_bytes(call::read, real, fd, buffer, size);
}
ssize_t write(int fd, const void* buffer, size_t size) {
    EDDY_REAL(write);
    if (fault::is_counter(fd)) return real(fd, buffer, size);
    return move_bytes(call::write, real, fd, buffer, size);
}
ssize_t pread(int fd, void* buffer, size_t size, off_t offset) {
    EDDY_REAL(pread);
    return move_bytes(call::pread, real, fd, buffer, size, offset);
}
ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) {
    EDDY_REAL(pwrite);
    return move_bytes(call::pwrite, real, fd, buffer, size, offset);
}
ssize_t writev(int fd, const iovec* parts, int count) {
    EDDY_REAL(writev);
    return move_parts(call::writev, real, fd, parts, count);
}
ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
    EDDY_REAL(preadv2);
    return move_parts(call::preadv2, real, fd, parts, count, offset, flags);
}
ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
    EDDY_REAL(pwritev2);
    return move_parts(call::pwritev2, real, fd, parts, count, offset, flags);
}
int close(int fd) {
    EDDY_REAL(close);
    fault::note_counter(fd, false); // first: the number may be somebody else's at once
    const int result = real(fd);
    return fails(call::close) ? -1 : result;
}
int fcntl(int fd, int command, ...) {
    EDDY_REAL(fcntl);
    va_list more;
    va_start(more, command);
    void* const argument = va_arg(more, void*);
    va_end(more);
    const bool can_fail = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    return can_fail && fails(call::duplicate) ? -1 : real(fd, command, argument);
}
int pipe2(int ends[2], int flags) noexcept {
    EDDY_REAL(pipe2);
    return fails(call::pipe2) ? -1 : real(ends, flags);
}

// Files

int open(const char* path, int flags, ...) {
    EDDY_REAL(open);
    mode_t mode = 0;
    if (fault::creates(flags)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return fails(call::open) ? -1 : real(path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
    EDDY_REAL(openat);
    mode_t mode = 0;
    if (fault::creates(flags)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return fails(fault::opens_folder(flags) ? call::openat_folder : call::openat) ? -1 : real(folder, path, flags, mode);
}
int stat(const char* path, struct stat* s) noexcept {
    EDDY_REAL(stat);
    return fails(call::stat) ? -1 : real(path, s);
}
int lstat(const char* path, struct stat* s) noexcept {
    EDDY_REAL(lstat);
    return fails(call::lstat) ? -1 : real(path, s);
}
int fstat(int fd, struct stat* s) noexcept {
    EDDY_REAL(fstat);
    return fails(call::fstat) ? -1 : real(fd, s);
}
int fstatat(int folder, const char* path, struct stat* s, int flags) noexcept {
    EDDY_REAL(fstatat);
    return fails(call::fstatat) ? -1 : real(folder, path, s, flags);
}
int fsync(int fd) {
    EDDY_REAL(fsync);
    return fails(call::fsync) ? -1 : real(fd);
}
int fdatasync(int fd) {
    EDDY_REAL(fdatasync);
    return fails(call::fdatasync) ? -1 : real(fd);
}
int syncfs(int fd) noexcept {
    EDDY_REAL(syncfs);
    return fails(call::syncfs) ? -1 : real(fd);
}
off_t lseek(int fd, off_t offset, int whence) noexcept {
    EDDY_REAL(lseek);
    return fails(call::lseek) ? -1 : real(fd, offset, whence);
}
int posix_fallocate(int fd, off_t offset, off_t size) {
    EDDY_REAL(posix_fallocate);
    const int error = error_for(call::posix_fallocate);
    return error != 0 ? error : real(fd, offset, size);
}
int posix_fadvise(int fd, off_t offset, off_t size, int advice) noexcept {
    EDDY_REAL(posix_fadvise);
    const int error = error_for(call::posix_fadvise);
    return error != 0 ? error : real(fd, offset, size, advice);
}
int futimens(int fd, const timespec times[2]) noexcept {
    EDDY_REAL(futimens);
    return fails(call::futimens) ? -1 : real(fd, times);
}
int utimensat(int folder, const char* path, const timespec times[2], int flags) noexcept {
    EDDY_REAL(utimensat);
    return fails(call::utimensat) ? -1 : real(folder, path, times, flags);
}
int access(const char* path, int mode) noexcept {
    EDDY_REAL(access);
    return fails(call::access) ? -1 : real(path, mode);
}
int fchown(int fd, uid_t owner, gid_t group) noexcept {
    EDDY_REAL(fchown);
    return fails(call::fchown) ? -1 : real(fd, owner, group);
}
int ftruncate(int fd, off_t size) noexcept {
    EDDY_REAL(ftruncate);
    return fails(call::ftruncate) ? -1 : real(fd, size);
}
int fchmod(int fd, mode_t mode) noexcept {
    EDDY_REAL(fchmod);
    return fails(call::fchmod) ? -1 : real(fd, mode);
}
int flock(int fd, int operation) noexcept {
    EDDY_REAL(flock);
    return fails(call::flock) ? -1 : real(fd, operation);
}
int rename(const char* from, const char* to) noexcept {
    EDDY_REAL(rename);
    return fails(call::rename) ? -1 : real(from, to);
}
int mkdir(const char* path, mode_t mode) noexcept {
    EDDY_REAL(mkdir);
    return fails(call::mkdir) ? -1 : real(path, mode);
}
int unlink(const char* path) noexcept {
    EDDY_REAL(unlink);
    return fails(call::unlink) ? -1 : real(path);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
    EDDY_REAL(unlinkat);
    return fails(call::unlinkat) ? -1 : real(folder, path, flags);
}
char* realpath(const char* path, char* out) noexcept {
    EDDY_REAL(realpath);
    return fails(call::realpath) ? nullptr : real(path, out);
}
DIR* fdopendir(int fd) {
    EDDY_REAL(fdopendir);
    return fails(call::fdopendir) ? nullptr : real(fd);
}
dirent* readdir(DIR* folder) {
    EDDY_REAL(readdir);
    return fails(call::readdir) ? nullptr : real(folder);
}

// Processes and threads

int posix_openpt(int flags) {
    EDDY_REAL(posix_openpt);
    return fails(call::posix_openpt) ? -1 : real(flags);
}
int grantpt(int fd) noexcept {
    EDDY_REAL(grantpt);
    return fails(call::grantpt) ? -1 : real(fd);
}
int unlockpt(int fd) noexcept {
    EDDY_REAL(unlockpt);
    return fails(call::unlockpt) ? -1 : real(fd);
}
int ptsname_r(int fd, char* name, size_t size) noexcept {
    EDDY_REAL(ptsname_r);
    return fails(call::ptsname_r) ? errno : real(fd, name, size);
}
int kill(pid_t pid, int number) noexcept {
    EDDY_REAL(kill);
    return fails(call::kill) ? -1 : real(pid, number);
}
int killpg(pid_t group, int number) noexcept {
    EDDY_REAL(killpg);
    return fails(call::killpg) ? -1 : real(group, number);
}
pid_t waitpid(pid_t pid, int* status, int options) {
    EDDY_REAL(waitpid);
    return fails(call::waitpid) ? -1 : real(pid, status, options);
}
int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* attributes,
                char* const* argv, char* const* envp) {
    EDDY_REAL(posix_spawn);
    const int error = error_for(call::posix_spawn);
    return error != 0 ? error : real(pid, path, actions, attributes, argv, envp);
}
int waitid(idtype_t type, id_t id, siginfo_t* info, int options) {
    EDDY_REAL(waitid);
    return fails(call::waitid) ? -1 : real(type, id, info, options);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) noexcept {
    EDDY_REAL(pthread_create);
    const int error = error_for(call::pthread_create);
    return error != 0 ? error : real(thread, attributes, start, argument);
}
// What has no function of its own in every C library we build with; the standard library waits by futex.
long syscall(long number, ...) noexcept {
    EDDY_REAL(syscall);
    va_list more;
    va_start(more, number);
    long a[6];
    for (long& argument : a) argument = va_arg(more, long); // those that are not there are not looked at
    va_end(more);
    if (number == SYS_pidfd_open && fails(call::pidfd_open)) return -1;
    if (number == SYS_pidfd_send_signal && fails(call::pidfd_send_signal)) return -1;
    if (number == SYS_openat2 && fails(call::openat2)) return -1;
#ifdef SYS_epoll_pwait2
    if (number == SYS_epoll_pwait2 && fails(call::epoll_wait)) return -1;
#endif
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

} // extern "C"
