// The fork server of a process_pool: how this program becomes one, and what it does.
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/process_pool.hpp>

#include "descriptor_message.hpp"
#include "process_messages.hpp"
#include "process_pool_core.hpp"
#include "process_state.hpp"

// Where a static program has no dynamic section that says so. Hidden and weak: a linker that does not know them leaves null.
extern "C" {
[[gnu::weak, gnu::visibility("hidden")]] extern eddy::detail::program_constructor __init_array_start[];
[[gnu::weak, gnu::visibility("hidden")]] extern eddy::detail::program_constructor __init_array_end[];
}

namespace eddy::detail {
namespace {

// --- the program's constructors

using constructors = std::span<const program_constructor>;

int find_program(dl_phdr_info* info, std::size_t, void* out) {
    const std::span<const ElfW(Phdr)> headers(info->dlpi_phdr, info->dlpi_phnum);
    for (const ElfW(Phdr) & h : headers) {
        if (h.p_type != PT_DYNAMIC) continue;
        const program_constructor* first = nullptr;
        std::size_t bytes = 0;
        for (auto* d = reinterpret_cast<const ElfW(Dyn)*>(info->dlpi_addr + h.p_vaddr); d->d_tag != DT_NULL; ++d) {
            if (d->d_tag == DT_INIT_ARRAY) first = reinterpret_cast<const program_constructor*>(info->dlpi_addr + d->d_un.d_ptr);
            if (d->d_tag == DT_INIT_ARRAYSZ) bytes = d->d_un.d_val;
        }
        *static_cast<constructors*>(out) = constructors(first, bytes / sizeof(program_constructor));
        return 1;
    }
    *static_cast<constructors*>(out) = constructors(__init_array_start, static_cast<std::size_t>(__init_array_end - __init_array_start));
    return 1; // the first is the program; the shared libraries come after it
}

/// Those of the executable, in the order in which they run; those of shared libraries have run before them.
constructors constructors_of_program() {
    constructors all;
    ::dl_iterate_phdr(&find_program, &all);
    return all;
}

bool can_serve = false; // a constructor of ours is among them, or `main` calls us

/// Is this a fork server? Its descriptors then.
struct server_descriptors {
    int socket = -1;
    int page = -1;
};
bool read_descriptors(int argc, const char* const* argv, server_descriptors& d) {
    if (argc != 4 || std::strcmp(argv[1], fork_server_mark) != 0) return false;
    const auto number = [](const char* text, int& n) {
        const std::string_view t(text);
        return std::from_chars(t.data(), t.data() + t.size(), n).ec == std::errc() && ::fcntl(n, F_GETFD) >= 0;
    };
    if (number(argv[2], d.socket) && number(argv[3], d.page)) return true;
    std::fprintf(stderr, "%s: %s is for programs that use a process_pool, which start themselves with it\n", argv[0], fork_server_mark);
    std::_Exit(2);
}

// --- signals

// Those that go to a whole process group are for the program, which may have a graceful end to come to. So the server does not mind
// SIGTERM and SIGHUP, and a worker obeys a SIGTERM of the program or its own. Handlers, and not SIG_IGN: programs that a worker
// starts have the default again.
int program_pid = 0;
int server_pid = 0;
int worker_pid = 0;

void ignore_signal(int) {}
void on_sigterm(int number, siginfo_t* info, void*) {
    const int self = ::getpid();
    if (self == server_pid) return;
    if ((worker_pid == 0 || self == worker_pid) && info->si_pid != program_pid && info->si_pid != self) return; // else a child of a worker
    ::signal(number, SIG_DFL);
    ::raise(number); // when we return
}

int watched_socket = -1;
void end_if_alone(int) {
    const int error = errno;
    pollfd p{watched_socket, POLLRDHUP, 0};
    if (::poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP)) != 0) ::_exit(0);
    errno = error;
}
/// While one lives, and the server runs a user's function instead of listening, the end of the program ends it all the same.
class end_with_program {
public:
    explicit end_with_program(int socket) : flags_(::fcntl(socket, F_GETFL)) {
        watched_socket = socket;
        struct sigaction a {};
        a.sa_handler = &end_if_alone; // it stays: a late SIGIO would end us by default
        a.sa_flags = SA_RESTART;
        ::sigaction(SIGIO, &a, nullptr);
        ::fcntl(socket, F_SETOWN, ::getpid());
        ::fcntl(socket, F_SETFL, flags_ | O_ASYNC);
        end_if_alone(SIGIO); // it ended before we asked
    }
    end_with_program(const end_with_program&) = delete;
    end_with_program& operator=(const end_with_program&) = delete;
    ~end_with_program() { ::fcntl(watched_socket, F_SETFL, flags_); }

private:
    int flags_;
};

// --- the server

class fork_server {
public:
    explicit fork_server(server_descriptors d) : socket_(d.socket), page_(map_page(d.page)) {
        ::fcntl(socket_, F_SETFD, FD_CLOEXEC);
        ::prctl(PR_SET_NAME, "eddy-fork-srv");
        reset_signals();
        ucred parent{};
        socklen_t size = sizeof parent;
        ::getsockopt(socket_, SOL_SOCKET, SO_PEERCRED, &parent, &size);
        program_pid = parent.pid;
        parent_ = unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, parent.pid, 0))); // its end shows even if a child of it holds our socket
        if (!parent_ && errno == ESRCH) end();
        std::fflush(nullptr); // once here, not again in each worker
    }
    [[noreturn]] void serve() {
        for (;;) {
            wait();
            for (std::size_t i = polled_.size(); i-- > 2;) {
                if (polled_[i].revents != 0) collect(i - 2);
            }
            if (polled_[1].revents != 0) end();
            if (polled_[0].revents != 0) listen();
        }
    }

private:
    struct child {
        std::uint32_t number;
        int pid;
        unique_fd pidfd;
    };
    static stop_slot* map_page(int fd) {
        struct stat st {};
        if (::fstat(fd, &st) != 0) give_up("the shared page");
        void* const p = ::mmap(nullptr, static_cast<std::size_t>(st.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) give_up("the shared page");
        ::close(fd);
        return static_cast<stop_slot*>(p);
    }
    [[noreturn]] static void give_up(const char* what) {
        std::perror(what);
        std::_Exit(1);
    }
    // What the program ignores or blocks is its own affair: with SIGCHLD ignored the kernel would tell nobody how a worker ended.
    // SIGINT goes from the terminal to all of the group; what becomes of a call is the caller's to say.
    static void reset_signals() {
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        ::signal(SIGCHLD, SIG_DFL);
        struct sigaction a {};
        a.sa_handler = &ignore_signal;
        a.sa_flags = SA_RESTART;
        ::sigaction(SIGINT, &a, nullptr);
        ::sigaction(SIGHUP, &a, nullptr);
        server_pid = ::getpid();
        a.sa_sigaction = &on_sigterm;
        a.sa_flags = SA_RESTART | SA_SIGINFO;
        ::sigaction(SIGTERM, &a, nullptr);
    }
    void wait() {
        polled_.clear();
        polled_.push_back({socket_, POLLIN, 0});
        polled_.push_back({parent_.get(), POLLIN, 0});
        for (const child& c : children_) polled_.push_back({c.pidfd.get(), POLLIN, 0});
        while (::poll(polled_.data(), polled_.size(), -1) < 0) {
            if (errno != EINTR) give_up("poll");
        }
    }
    void listen() {
        server_message m{};
        unique_fd given;
        const ssize_t n = receive_with_descriptor(socket_, std::as_writable_bytes(std::span(&m, 1)), given, MSG_WAITALL);
        if (n != static_cast<ssize_t>(sizeof m)) end(); // the program has gone, or its pool
        if (m.word == server_word::start)
            start(m, std::move(given));
        else
            preload(m);
    }
    void preload(server_message m) {
        bool done = false;
        {
            const end_with_program watched(socket_);
            done = call_preload(m.function);
        }
        std::fflush(nullptr);
        m.word = done ? server_word::started : server_word::failed;
        tell(m);
    }
    void start(server_message m, unique_fd socket) {
        const int server = ::getpid();
        const int pid = ::fork();
        if (pid == 0) become_worker(server, socket.release(), m.slot);
        m.pid = pid;
        unique_fd pidfd;
        if (pid > 0) pidfd = unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        if (!pidfd) {
            m.word = server_word::failed;
            m.code = errno;
            if (pid > 0) {
                ::kill(pid, SIGKILL);
                while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
            }
            return tell(m);
        }
        m.word = server_word::started;
        tell(m, pidfd.get());
        children_.push_back({m.worker, pid, std::move(pidfd)});
    }
    [[noreturn]] void become_worker(int server, int socket, std::uint32_t slot) {
        worker_pid = ::getpid();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != server) std::_Exit(1); // it ended before we asked to be told
        ::prctl(PR_SET_NAME, "eddy-worker");
        ::close(socket_);
        parent_ = {};
        children_.clear();
        work_for_pool(socket, page_[slot]);
    }
    void collect(std::size_t i) {
        const child& c = children_[i];
        siginfo_t info{};
        if (::waitid(P_PIDFD, static_cast<id_t>(c.pidfd.get()), &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) return;
        server_message m{};
        m.word = server_word::died;
        m.worker = c.number;
        m.pid = c.pid;
        m.code = info.si_status;
        m.by_signal = info.si_code != CLD_EXITED;
        m.core_dumped = info.si_code == CLD_DUMPED;
        children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
        tell(m);
    }
    void tell(const server_message& m, int fd = -1) {
        const ssize_t n = send_with_descriptor(socket_, std::as_bytes(std::span(&m, 1)), fd);
        if (n != static_cast<ssize_t>(sizeof m)) end();
    }
    /// Nobody is there for whom to work: no worker stays, and none is left uncollected.
    [[noreturn]] void end() {
        for (const child& c : children_) ::syscall(SYS_pidfd_send_signal, c.pidfd.get(), SIGKILL, nullptr, 0);
        for (const child& c : children_) {
            siginfo_t info{};
            while (::waitid(P_PIDFD, static_cast<id_t>(c.pidfd.get()), &info, WEXITED) != 0 && errno == EINTR) {}
        }
        std::_Exit(0);
    }

    int socket_;
    stop_slot* page_;
    unique_fd parent_;
    std::vector<child> children_;
    std::vector<pollfd> polled_;
};

[[noreturn]] void serve(server_descriptors d) {
    fork_server server(d);
    server.serve();
}

} // namespace

// A constructor cannot know whether others come after it. But the list of them can be read: the first of ours runs those that are
// left, as the start-up code would have, and then every static object of the program exists.
void enter_fork_server(program_constructor self, int argc, char** argv, char** envp) {
    static bool entered = false;
    if (entered) return;
    server_descriptors d;
    const bool serves = read_descriptors(argc, argv, d);
    if (!serves && can_serve) return;
    const constructors all = constructors_of_program();
    std::size_t i = 0;
    while (i < all.size() && all[i] != self) ++i;
    if (i == all.size()) return; // of a shared library: the program's own come later
    can_serve = true;
    if (!serves) return;
    entered = true;
    for (++i; i < all.size(); ++i) all[i](argc, argv, envp);
    serve(d);
}

bool can_serve_forks() noexcept {
    return can_serve;
}

} // namespace eddy::detail

namespace eddy {

void serve_process_pool() {
    detail::can_serve = true;
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::vector<const char*> argv;
    for (std::size_t at = 0; at < line.size(); at = line.find('\0', at) + 1) {
        argv.push_back(line.c_str() + at);
        if (line.find('\0', at) == std::string::npos) break;
    }
    detail::server_descriptors d;
    if (detail::read_descriptors(static_cast<int>(argv.size()), argv.data(), d)) detail::serve(d);
}

} // namespace eddy
