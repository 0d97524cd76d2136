#include "watchdog.hpp"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include <fmt/format.h>

namespace eddy::detail {

std::string describe_chain(const std::vector<std::source_location>& chain) {
    std::string text;
    for (const std::source_location& s : chain) {
        if (s.line() != 0) text += fmt::format("{} at {}:{}", text.empty() ? "" : ", awaited", s.file_name(), s.line());
    }
    return text;
}

watchdog::watchdog(std::chrono::nanoseconds limit, std::function<void(const std::string&)> say)
    : limit_(limit), say_(std::move(say)) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all); // signals are for the program's own threads
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { watch(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

watchdog::~watchdog() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void watchdog::step_begins(const std::string& name, std::vector<std::source_location> chain) {
    const std::lock_guard lock(mutex_);
    name_ = name;
    chain_ = std::move(chain);
    begin_ = clock::now();
    next_report_ = limit_;
    running_ = true;
}

void watchdog::step_ends() {
    const std::lock_guard lock(mutex_);
    running_ = false;
}

// Where nobody can be told (no memory, no stderr) the program goes on.
void watchdog::say(const std::string& text) noexcept {
    try {
        say_(text);
    } catch (...) {
    }
}

// Looks twice in each limit: what is reported has lasted between one limit and one and a half. Then when it has doubled.
void watchdog::watch() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        changed_.wait_for(lock, limit_ / 2);
        const auto lasted = clock::now() - begin_;
        if (stop_ || !running_ || lasted < next_report_) continue;
        next_report_ = 2 * lasted;
        say(fmt::format("'{}'{} has held the loop for {} ms and still runs; move the work to offload()", name_, describe_chain(chain_),
                         std::chrono::duration_cast<std::chrono::milliseconds>(lasted).count()));
    }
}

} // namespace eddy::detail
