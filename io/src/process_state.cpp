#include "process_state.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <new>
#include <stdexcept>
#include <system_error>

#include <eddy/detail/task_context.hpp>

namespace eddy::detail {

process_state::process_state(started_process& s)
    : timer_node(&look_again), name_(s.name), pid_(std::exchange(s.pid, 0)), pidfd_(std::move(s.pidfd)), own_group_(s.own_group), streams_{bool(s.in), bool(s.out), bool(s.err), bool(s.terminal)} {
    opcode = io_opcode::wait_read;
    complete = &completed;
}

process_state::~process_state() {
    unwatch();
    collect();
}

void process_state::watch(scheduler& loop) {
    engine_ = engine_of(loop);
    loop_ = loop.link();
    if (look()) return;
    descriptor_ = &engine_->adopt(pidfd_.get());
    if (engine_->start(*descriptor_, *this))
        completed(*this);
    else
        watching_ = true;
}

void process_state::unwatch() noexcept {
    if (loop_ && *loop_) (*loop_)->disarm(*this);
    if (!descriptor_) return;
    if (std::exchange(watching_, false)) static_cast<void>(engine_->cancel(*descriptor_, *this));
    engine_->release(*std::exchange(descriptor_, nullptr));
}

void process_state::completed(io_operation& op) noexcept {
    auto& self = static_cast<process_state&>(op);
    const std::shared_ptr<process_state> keep = self.weak_from_this().lock();
    self.watching_ = false;
    if (!self.look()) self.arm();
}

// A debugger that traces it has it first, although its descriptor is readable already: nothing tells when it lets go.
void process_state::arm() noexcept {
    if (!*loop_) return;
    try {
        (*loop_)->arm(*this, (*loop_)->now() + std::chrono::milliseconds(10));
    } catch (const std::bad_alloc&) {
        ended(exit_status::not_known());
    }
}
void process_state::look_again(ready_node& n) {
    auto& self = static_cast<process_state&>(static_cast<timer_node&>(n));
    const std::shared_ptr<process_state> keep = self.shared_from_this();
    if (!self.look()) self.arm();
}

bool process_state::look() noexcept {
    if (status_) return true;
    if (!pidfd_) {
        ended(exit_status::not_known());
        return true;
    }
    // A leader that was collected no longer keeps its group's number from being given to others: it stays until we go.
    siginfo_t info{};
    const int options = WEXITED | WNOHANG | (own_group_ ? WNOWAIT : 0);
    int r = 0;
    do {
        r = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, options);
    } while (r != 0 && errno == EINTR);
    if (r == 0 && info.si_pid == 0) return false;
    if (r != 0) // ECHILD: somebody else has collected it
        ended(exit_status::not_known());
    else if (info.si_code == CLD_EXITED)
        ended(exit_status::of_code(info.si_status));
    else
        ended(exit_status::of_signal(info.si_status, info.si_code == CLD_DUMPED));
    return true;
}

void process_state::ended(exit_status s) noexcept {
    unwatch();
    status_ = s;
    if (!own_group_ || s.unknown()) pidfd_ = {}; // a number that others have given back keeps nothing from being used again
    while (queued_operation* const w = waiters_.pop_front()) w->grant();
}

void process_state::collect() noexcept {
    if (!pidfd_ || !status_) return;
    siginfo_t info{};
    while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) != 0 && errno == EINTR) {}
    pidfd_ = {};
}

void process_state::signal(int number) {
    if (look()) throw no_such_process("signal " + std::to_string(number) + " to " + name_ + ", which has ended");
    if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0) return;
    const int failure = errno;
    if (failure == ESRCH) throw no_such_process("signal " + std::to_string(number) + " to " + name_ + ", which has ended");
    throw std::system_error(failure, std::generic_category(), "signal " + std::to_string(number) + " to " + name_);
}

void process_state::signal_group(int number) {
    if (!own_group_) throw std::logic_error("signal_group: " + name_ + " has no group of its own; give its command new_process_group()");
    if (!pidfd_) throw no_such_process("signal " + std::to_string(number) + " to the group of " + name_ + ", which has ended");
    if (::killpg(pid_, number) == 0) return;
    const int failure = errno;
    if (failure == ESRCH) throw no_such_process("signal " + std::to_string(number) + " to the group of " + name_ + ", which has ended");
    throw std::system_error(failure, std::generic_category(), "signal " + std::to_string(number) + " to the group of " + name_);
}

bool process_state::kill_quietly() noexcept {
    if (!pidfd_) return false;
    if (own_group_ && ::killpg(pid_, SIGKILL) == 0) return true;
    return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0) == 0;
}

void process_state::collect_blocking() noexcept {
    if (pidfd_ && !status_) collect_now(pidfd_.get());
}

} // namespace eddy::detail
