// A child process as the loop sees it: how it is started, and who waits for its end.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <signal.h>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/scheduler.hpp>
#include <eddy/detail/stream_core.hpp>
#include <eddy/detail/wait_queue.hpp>
#include <eddy/process.hpp>

namespace eddy::detail {

/// Owns a descriptor.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& o) noexcept : fd_(o.release()) {}
    unique_fd& operator=(unique_fd o) noexcept {
        std::swap(fd_, o.fd_);
        return *this;
    }
    ~unique_fd();
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

/// What the parent has to look up before a worker starts the program: its environment and signal mask, copies of descriptors.
class spawn_plan {
public:
    explicit spawn_plan(command c);
    command what;
    std::vector<std::string> environment;
    std::vector<unique_fd> copies; // those of the command's descriptors, by stream
    sigset_t mask{};
};

/// A process that was started and belongs to no loop yet. Destroyed, it is killed and waited for.
class started_process {
public:
    started_process(int number, unique_fd watched) noexcept : pid(number), pidfd(std::move(watched)) {}
    started_process(started_process&& o) noexcept;
    started_process& operator=(started_process&&) = delete;
    ~started_process();

    int pid = 0; // 0: given away
    unique_fd pidfd; // none: it has ended, and somebody else collected it
    bool own_group = false;
    std::string name; // "cat (process 123)"
    unique_fd in, out, err, terminal;
};

/// On a worker. Throws `std::system_error`.
[[nodiscard]] started_process spawn_now(spawn_plan plan);

/// Waits for a process that has been killed. It is the last resort where there is no loop that could.
void collect_now(int pidfd) noexcept;

/// Shared by the process object, by those who wait and by who collects it.
class process_state final : public std::enable_shared_from_this<process_state>, private io_operation, private timer_node {
public:
    /// Takes the process, not its streams.
    explicit process_state(started_process& s);
    process_state(const process_state&) = delete;
    process_state& operator=(const process_state&) = delete;
    ~process_state();

    /// Begins to watch for its end. Throws `std::system_error`.
    void watch(scheduler& loop);
    [[nodiscard]] int pid() const noexcept { return pid_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool own_group() const noexcept { return own_group_; }
    [[nodiscard]] bool has(child_stream s) const noexcept { return streams_[static_cast<std::size_t>(s)]; }
    [[nodiscard]] const std::optional<exit_status>& status() const noexcept { return status_; }
    /// Asks the kernel whether it has ended; true if so.
    bool look() noexcept;
    void signal(int number);
    void signal_group(int number);
    /// The process object goes: nobody will tell the process to end any more. False if it may not be killed (another user's).
    bool kill_quietly() noexcept;
    /// The group's leader was kept until now, see `look`.
    void collect() noexcept;
    void collect_blocking() noexcept;
    /// Nobody will signal the group any more.
    void forget_group() noexcept { own_group_ = false; }
    [[nodiscard]] bool belongs_to(scheduler& loop) const noexcept { return !engine_ || engine_ == engine_of(loop); }
    [[nodiscard]] wait_queue& waiters() noexcept { return waiters_; }

private:
    static void completed(io_operation& op) noexcept;
    void ended(exit_status s) noexcept;
    void unwatch() noexcept;
    void arm() noexcept;
    static void look_again(ready_node& n);
    std::string name_; // first: what follows is taken over only if this could be copied
    int pid_;
    unique_fd pidfd_;
    bool own_group_;
    loop_link loop_;
    std::optional<exit_status> status_;
    wait_queue waiters_;
    std::shared_ptr<engine> engine_;
    io_descriptor* descriptor_ = nullptr;
    bool watching_ = false;
    std::array<bool, 4> streams_{};
};

} // namespace eddy::detail
