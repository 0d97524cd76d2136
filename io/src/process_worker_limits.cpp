#include "process_worker_limits.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>

namespace eddy::detail {
namespace {

/// Signals are for the functions' thread.
class signals_kept_away {
public:
    signals_kept_away() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_kept_away(const signals_kept_away&) = delete;
    signals_kept_away& operator=(const signals_kept_away&) = delete;
    ~signals_kept_away() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// What the kernel counts against a limit: private memory that can be written.
rlim_t data_now() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        rlim_t kilobytes = 0;
        if (word == "VmData:" && status >> kilobytes) return kilobytes * 1024;
    }
    return 0;
}

} // namespace

// --- stop requests

void stop_watch::start() {
    if (started_) return;
    const signals_kept_away here;
    pthread_attr_t how;
    ::pthread_attr_init(&how);
    ::pthread_attr_setstacksize(&how, 256 * 1024); // for the callbacks of tokens
    pthread_t thread{};
    const int error = ::pthread_create(&thread, &how, [](void* self) -> void* { static_cast<stop_watch*>(self)->watch(); }, this);
    ::pthread_attr_destroy(&how);
    if (error != 0) throw std::system_error(error, std::generic_category(), "process_pool: a thread for stop requests");
    ::pthread_detach(thread);
    started_ = true;
}

void stop_watch::begin(std::uint32_t call, std::stop_source& source) {
    const std::lock_guard lock(lock_);
    call_ = call;
    source_ = &source;
    if (slot_->call.load() == call) source.request_stop(); // it was quicker; nobody has a token yet
}

void stop_watch::end() {
    const std::lock_guard lock(lock_);
    source_ = nullptr;
}

void stop_watch::watch() {
    for (std::uint32_t seen = 0;;) {
        const std::uint32_t now = slot_->call.load();
        if (now == seen) {
            ::syscall(SYS_futex, &slot_->call, FUTEX_WAIT, seen, nullptr, nullptr, 0);
            continue;
        }
        seen = now;
        std::stop_source stopped{std::nostopstate};
        {
            const std::lock_guard lock(lock_);
            if (source_ && call_ == now) stopped = *source_;
        }
        stopped.request_stop(); // its callbacks are users' code
    }
}

// --- the memory limit of one call

memory_limit::memory_limit(std::uint64_t more) {
    if (more == 0 || ::getrlimit(RLIMIT_DATA, &before_) != 0) return;
    rlimit limit = before_;
    limit.rlim_cur = std::min(data_now() + more, before_.rlim_max);
    set_ = limit.rlim_cur < before_.rlim_cur && ::setrlimit(RLIMIT_DATA, &limit) == 0;
}
memory_limit::~memory_limit() {
    if (set_) ::setrlimit(RLIMIT_DATA, &before_);
}

} // namespace eddy::detail
