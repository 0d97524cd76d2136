// System calls that fail when a test wants it. fault.cpp defines the functions of the C library through which eddy and Asio reach the
// kernel; they do what they always do, but while a plan is armed they are counted, and fail as the plan says. One plan at a time, for
// the calls of all threads.
//
//     fault::fail_nth(fault::call::recv, 2, ECONNRESET);
//     const fault::armed here;      // until the end of the scope
//     …
//     fault::injected();            // how many calls failed or were cut short
//
// Spared are calls that fail for no reason but a wrong argument (sigaction, timerfd_settime), and those on descriptors that the kernel
// only counts in (eventfd, timerfd): these have no errors.
//
// What goes through io_uring is no call of its own: ring_fault.cpp takes an operation's place in the ring, so that it does not happen and
// its completion says what the plan wants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fault {

enum class call : std::uint8_t {
    accept4,
    access,
    bind,
    close, // the descriptor is freed all the same, as Linux does
    connect,
    epoll_add, // epoll_ctl for a new descriptor
    epoll_create1,
    epoll_wait,
    eventfd,
    fchmod,
    fchown,
    fdatasync,
    fdopendir,
    flock,
    fstat,
    fstatat,
    fsync,
    ftruncate,
    futimens,
    duplicate, // fcntl with F_DUPFD and F_DUPFD_CLOEXEC
    getaddrinfo, // its errors are its own, EAI_…
    getnameinfo, // the same
    getpeername,
    getsockname,
    getsockopt,
    grantpt,
    if_nametoindex,
    inotify_add_watch,
    inotify_init1,
    inotify_rm_watch,
    ioctl,
    kill,
    killpg,
    listen,
    lseek,
    lstat,
    mkdir,
    open,
    openat,
    openat_folder, // openat with O_DIRECTORY, to read it
    openat2,
    pidfd_open,
    pidfd_send_signal,
    pipe2,
    poll,
    posix_fadvise,
    posix_fallocate,
    posix_openpt,
    posix_spawn,
    pread,
    preadv2,
    pthread_create,
    ptsname_r,
    pwrite,
    pwritev2,
    read,
    readdir,
    realpath,
    recv,
    recvmmsg,
    recvmsg,
    rename,
    ring_cancel, // of an operation that is in io_uring
    ring_close,
    ring_dontfork,
    ring_open,
    ring_probe,
    ring_read,
    ring_setup,
    ring_stat,
    ring_submit, // what gives the operations to the kernel
    ring_sync,
    ring_write,
    send,
    sendfile,
    sendmmsg,
    sendmsg,
    setsockopt,
    shutdown,
    socket,
    socketpair,
    splice,
    stat,
    syncfs,
    timerfd_create,
    unlink,
    unlinkat,
    unlockpt,
    utimensat,
    waitid,
    waitpid,
    write,
    writev,
};

/// What a call can fail with, as its manual page says, besides EINTR.
struct description {
    call id;
    std::string_view name;
    bool interruptible; // may fail with EINTR
    std::uint8_t error_count;
    int errors[5];
    [[nodiscard]] std::span<const int> possible_errors() const noexcept { return std::span(errors).first(error_count); }
};
[[nodiscard]] std::span<const description> all_calls() noexcept;

// The plan; each of them replaces the one before and sets the counts to 0. Not while armed.

/// Nothing fails.
void count_calls() noexcept;
/// The `n`th call of that kind, from 1 on, fails, and so do those that follow it until `in_a_row` have.
void fail_nth(call what, std::size_t n, int error, std::size_t in_a_row = 1) noexcept;
/// Of each `in_a_row` + 1 calls of a kind that a signal may interrupt, only the last is not.
void eintr_storm(std::size_t in_a_row) noexcept;
/// Reads and writes move at most three bytes, batches of datagrams have one. Reads from TCP too, if `tcp_input`.
void short_transfers(bool tcp_input) noexcept;

/// While it lives, the plan is in force.
class armed {
public:
    armed() noexcept;
    armed(const armed&) = delete;
    armed& operator=(const armed&) = delete;
    ~armed() { disarm(); }
    /// Before its end, for what a test looks up for itself.
    static void disarm() noexcept;
};

/// While it lives, getaddrinfo does not return: no name server answers.
class silent_name_servers {
public:
    silent_name_servers() noexcept;
    silent_name_servers(const silent_name_servers&) = delete;
    silent_name_servers& operator=(const silent_name_servers&) = delete;
    ~silent_name_servers();
    /// How many calls there are that have not returned.
    [[nodiscard]] static std::size_t asked() noexcept;
};

/// Is it done by way of io_uring?
[[nodiscard]] constexpr bool is_of_ring(call c) noexcept {
    return c >= call::ring_cancel && c <= call::ring_write;
}

/// How often it was called while armed.
[[nodiscard]] std::size_t count(call what) noexcept;
/// How many calls failed or were cut short since the plan was made.
[[nodiscard]] std::size_t injected() noexcept;

} // namespace fault
