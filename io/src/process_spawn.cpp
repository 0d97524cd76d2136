// Starting a program: what runs on a worker between `process::spawn` and a running child.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "file_handle.hpp"
#include "process_state.hpp"

extern char** environ;

namespace eddy::detail {
namespace {

constexpr std::array<const char*, 3> stream_names{"stdin", "stdout", "stderr"};

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::generic_category(), what);
}

// Numbers that `dup2` to 0, 1 or 2 could overwrite are moved out of the way.
unique_fd above_standard(unique_fd fd, const std::string& what) {
    if (fd.get() > STDERR_FILENO) return fd;
    unique_fd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!moved) fail(errno, what);
    return moved;
}

unique_fd copy_of(int fd, const std::string& what) {
    unique_fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!copy) fail(errno, what);
    return copy;
}

std::vector<std::string> environment_of(const command_parts& c) {
    std::vector<std::string> all;
    for (char** e = c.clear_environment ? nullptr : environ; e && *e; ++e) all.emplace_back(*e);
    for (const environment_change& change : c.environment) {
        const std::string start = change.name + "=";
        std::erase_if(all, [&](const std::string& e) { return e.starts_with(start); });
        if (change.value) all.push_back(start + *change.value);
    }
    return all;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (const std::string& t : texts) out.push_back(const_cast<char*>(t.c_str())); // only read, says POSIX
    out.push_back(nullptr);
    return out;
}

void check(int error, const char* what) {
    if (error != 0) fail(error, what);
}

class file_actions {
public:
    file_actions() { check(::posix_spawn_file_actions_init(&actions_), "posix_spawn"); }
    file_actions(const file_actions&) = delete;
    file_actions& operator=(const file_actions&) = delete;
    ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }
    void duplicate(int from, int to) { check(::posix_spawn_file_actions_adddup2(&actions_, from, to), "posix_spawn"); }
    void open(int fd, const char* path, int flags) { check(::posix_spawn_file_actions_addopen(&actions_, fd, path, flags, 0), "posix_spawn"); }
    void enter(const char* path) { check(::posix_spawn_file_actions_addchdir_np(&actions_, path), "posix_spawn"); }
    /// From 3 on, but for some.
    void close_others(std::vector<int> but) {
        std::sort(but.begin(), but.end());
        int next = STDERR_FILENO + 1;
        for (const int kept : but) {
            for (; next < kept; ++next) check(::posix_spawn_file_actions_addclose(&actions_, next), "posix_spawn");
            next = std::max(next, kept + 1);
        }
        check(::posix_spawn_file_actions_addclosefrom_np(&actions_, next), "posix_spawn");
    }
    [[nodiscard]] const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

private:
    posix_spawn_file_actions_t actions_;
};

class spawn_attributes {
public:
    spawn_attributes(const command_parts& c, const sigset_t& mask) {
        check(::posix_spawnattr_init(&attributes_), "posix_spawn");
        sigset_t defaults;
        ::sigemptyset(&defaults);
        ::sigaddset(&defaults, SIGPIPE); // the loop ignores it
        short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
        ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
        ::posix_spawnattr_setsigmask(&attributes_, &mask);
        if (c.own_session || c.terminal)
            flags |= POSIX_SPAWN_SETSID;
        else if (c.own_group)
            flags |= POSIX_SPAWN_SETPGROUP;
        ::posix_spawnattr_setflags(&attributes_, flags);
    }
    spawn_attributes(const spawn_attributes&) = delete;
    spawn_attributes& operator=(const spawn_attributes&) = delete;
    ~spawn_attributes() { ::posix_spawnattr_destroy(&attributes_); }
    [[nodiscard]] const posix_spawnattr_t* get() const noexcept { return &attributes_; }

private:
    posix_spawnattr_t attributes_;
};

/// The descriptors of one program: the child's ends, and ours.
class child_streams {
public:
    explicit child_streams(spawn_plan& plan) : plan_(plan) {
        const command_parts& c = plan.what.parts();
        if (c.terminal) open_terminal(*c.terminal);
        for (int i = 0; i < 3; ++i) open(i, c.streams[i]);
        const int nonblocking[] = {ours[0].get(), ours[1].get(), ours[2].get(), terminal.get()};
        for (const int fd : nonblocking) {
            if (fd >= 0 && ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) fail(errno, text("a stream"));
        }
    }
    void add_to(file_actions& a) const {
        const command_parts& c = plan_.what.parts();
        if (!slave.empty()) { // the first terminal that a new session opens becomes its own
            a.open(0, slave.c_str(), O_RDWR);
            a.duplicate(0, 1);
            a.duplicate(0, 2);
        }
        for (int i = 0; i < 3; ++i) {
            if (const int fd = childs_[i] ? childs_[i].get() : plan_.copies[static_cast<std::size_t>(i)].get(); fd >= 0) a.duplicate(fd, i);
        }
        if (c.streams[2].to == redirection::kind::to_stdout) a.duplicate(1, 2);
        for (std::size_t i = 0; i < c.inherited.size(); ++i) a.duplicate(plan_.copies[3 + i].get(), c.inherited[i]);
        a.close_others(c.inherited);
    }
    unique_fd ours[3];
    unique_fd terminal;
    std::string slave;

private:
    [[nodiscard]] std::string text(const std::string& what) const { return "cannot run '" + plan_.what.program() + "': " + what; }

    void open(int stream, const redirection& r) {
        const int writing = stream == 0 ? O_RDONLY : O_WRONLY | O_CREAT;
        switch (r.to) {
        case redirection::kind::pipe: return open_pipe(stream);
        case redirection::kind::null: return open_file(stream, "/dev/null", stream == 0 ? O_RDONLY : O_WRONLY);
        case redirection::kind::file: return open_file(stream, r.path, stream == 0 ? writing : writing | O_TRUNC);
        case redirection::kind::append: return open_file(stream, r.path, writing | O_APPEND);
        case redirection::kind::inherit:
        case redirection::kind::descriptor: // copied by the plan
        case redirection::kind::to_stdout: return;
        }
    }
    void open_pipe(int stream) {
        const std::string what = text(std::string("a pipe for ") + stream_names[static_cast<std::size_t>(stream)]);
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(errno, what);
        unique_fd reader(ends[0]);
        unique_fd writer(ends[1]);
        childs_[stream] = above_standard(std::move(stream == 0 ? reader : writer), what);
        ours[stream] = std::move(stream == 0 ? writer : reader);
    }
    void open_file(int stream, const std::string& path, int flags) {
        const std::string what = text(std::string(stream_names[static_cast<std::size_t>(stream)]) + ", '" + path + "'");
        unique_fd fd(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0666); }));
        if (!fd) fail(errno, what);
        childs_[stream] = above_standard(std::move(fd), what);
    }
    void open_terminal(terminal_size size) {
        const std::string what = text("a terminal");
        unique_fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) fail(errno, what);
        std::array<char, 128> path{};
        if (::ptsname_r(master.get(), path.data(), path.size()) != 0) fail(errno, what);
        const winsize w{size.rows, size.columns, 0, 0};
        if (::ioctl(master.get(), TIOCSWINSZ, &w) != 0) fail(errno, what);
        slave = path.data();
        terminal = std::move(master);
    }
    spawn_plan& plan_;
    unique_fd childs_[3];
};

[[noreturn]] void fail_to_run(int error, const command& c) {
    const std::string& directory = c.parts().directory;
    std::string what = "cannot run '" + c.program() + "'";
    if (!directory.empty()) {
        struct stat st {};
        const bool there = ::stat(directory.c_str(), &st) == 0;
        if (!there || !S_ISDIR(st.st_mode)) {
            error = there ? ENOTDIR : errno;
            what += ": its directory '" + directory + "'";
        } else {
            what += " in '" + directory + "'";
        }
    }
    fail(error, what);
}

/// The child's PATH counts, as in Python's subprocess; posix_spawnp would take ours.
int spawn_by_path(pid_t& pid, const spawn_plan& plan, const file_actions& actions, const spawn_attributes& attributes,
                  char* const* argv, char* const* envp) {
    const std::string& program = plan.what.program();
    const auto start = [&](const std::string& path) { return ::posix_spawn(&pid, path.c_str(), actions.get(), attributes.get(), argv, envp); };
    if (program.find('/') != std::string::npos) return start(program);
    std::string_view path = "/usr/local/bin:/usr/bin:/bin";
    for (const std::string& e : plan.environment) {
        if (e.starts_with("PATH=")) path = std::string_view(e).substr(5);
    }
    int error = ENOENT;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        const std::string folder(path.substr(at, end - at));
        const std::string candidate = folder.empty() ? "./" + program : folder + "/" + program;
        at = end + 1;
        if (candidate.front() == '/' && ::access(candidate.c_str(), F_OK) != 0) continue;
        const int failure = start(candidate);
        if (failure != ENOENT && failure != ENOTDIR && failure != EACCES) return failure;
        if (failure == EACCES) error = EACCES; // another folder may have one that can be run
    }
    return error;
}

// It has not ended for good before somebody collects it, so the number is still its own. ESRCH: somebody has.
unique_fd watch_descriptor(int pid, const command& c) {
    unique_fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (fd || errno == ESRCH) return fd;
    const int error = errno;
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
    fail(error, "cannot watch '" + c.program() + "'");
}

} // namespace

unique_fd::~unique_fd() {
    if (fd_ >= 0) ::close(fd_);
}

spawn_plan::spawn_plan(command c) : what(std::move(c)), environment(environment_of(what.parts())) {
    const command_parts& parts = what.parts();
    const std::string doing = "cannot run '" + what.program() + "': the descriptor for ";
    copies.resize(3);
    for (std::size_t i = 0; i < 3; ++i) {
        if (parts.streams[i].to == redirection::kind::descriptor) copies[i] = copy_of(parts.streams[i].descriptor, doing + stream_names[i]);
    }
    for (const int fd : parts.inherited) {
        if (fd <= STDERR_FILENO) throw std::invalid_argument("command::inherit is for descriptors above 2; for the others there are stdin_from, stdout_to and stderr_to");
        copies.push_back(copy_of(fd, doing + std::to_string(fd)));
    }
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
}

started_process::started_process(started_process&& o) noexcept
    : pid(std::exchange(o.pid, 0)), pidfd(std::move(o.pidfd)), own_group(o.own_group), name(std::move(o.name)), in(std::move(o.in)),
      out(std::move(o.out)), err(std::move(o.err)), terminal(std::move(o.terminal)) {}

started_process::~started_process() {
    if (pid == 0 || !pidfd) return;
    if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0) collect_now(pidfd.get());
}

started_process spawn_now(spawn_plan plan) {
    const command& c = plan.what;
    child_streams streams(plan);
    file_actions actions;
    if (!c.parts().directory.empty()) actions.enter(c.parts().directory.c_str());
    streams.add_to(actions);
    const spawn_attributes attributes(c.parts(), plan.mask);
    const std::vector<char*> argv = pointers_to(c.parts().argv);
    const std::vector<char*> envp = pointers_to(plan.environment);
    std::string name = c.program() + " (process ";
    name.reserve(name.size() + 16); // nothing may fail between the start and the hand-over
    pid_t pid = 0;
    const int error = spawn_by_path(pid, plan, actions, attributes, argv.data(), envp.data());
    if (error != 0) fail_to_run(error, c);
    started_process s(pid, watch_descriptor(pid, c));
    s.own_group = c.parts().own_group || c.parts().own_session || c.parts().terminal;
    s.name = std::move(name.append(std::to_string(pid)).append(")"));
    s.in = std::move(streams.ours[0]);
    s.out = std::move(streams.ours[1]);
    s.err = std::move(streams.ours[2]);
    s.terminal = std::move(streams.terminal);
    return s;
}

void collect_now(int pidfd) noexcept {
    pollfd p{pidfd, POLLIN, 0};
    while (::poll(&p, 1, -1) < 0 && errno == EINTR) {}
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0 && errno == EINTR) {}
}

} // namespace eddy::detail
