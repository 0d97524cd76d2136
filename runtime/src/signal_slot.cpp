#include "signal_slot.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <stdexcept>
#include <string>

namespace eddy::detail {
namespace {

std::array<signal_slot, 1024> slots;
std::atomic<int> handlers_running{0};

struct disposition {
    int listeners = 0;
    struct sigaction previous {};
};
std::mutex dispositions_mutex;
std::array<disposition, most_signals + 1> dispositions;

void deliver(signal_slot& s, int number) noexcept {
    if ((s.wanted.load() & signal_bit(number)) == 0) return;
    if (s.second_kills.load() && s.seen.fetch_add(1) > 0) {
        ::signal(number, SIG_DFL);
        ::raise(number); // delivered when this handler returns
        return;
    }
    s.pending.fetch_or(signal_bit(number));
    const std::uint64_t one = 1;
    if (const int fd = s.wake_fd.load(); fd >= 0) [[maybe_unused]]
        const auto n = ::write(fd, &one, sizeof one);
}

extern "C" void eddy_signal_handler(int number) {
    const int saved = errno;
    handlers_running.fetch_add(1);
    for (signal_slot& s : slots) deliver(s, number);
    handlers_running.fetch_sub(1);
    errno = saved;
}

void restore(int number) noexcept {
    disposition& d = dispositions[static_cast<std::size_t>(number)];
    if (--d.listeners > 0) return;
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) != 0 || now.sa_handler != &eddy_signal_handler) return; // somebody has put another in our place
    ::sigaction(number, &d.previous, nullptr);
}

} // namespace

signal_slot& acquire_signal_slot(int wake_fd, bool second_kills) {
    for (signal_slot& s : slots) {
        if (s.used.exchange(true)) continue;
        s.pending = 0;
        s.seen = 0;
        s.second_kills = second_kills;
        s.wake_fd = wake_fd;
        return s;
    }
    throw std::runtime_error("too many listeners for signals (" + std::to_string(slots.size()) + " are in use)");
}

void watch_signal(signal_slot& s, int number) {
    if (number <= 0 || number > most_signals) throw std::invalid_argument("signal " + std::to_string(number) + " does not exist");
    const std::lock_guard lock(dispositions_mutex);
    if ((s.wanted.load() & signal_bit(number)) != 0) return;
    disposition& d = dispositions[static_cast<std::size_t>(number)];
    s.wanted.fetch_or(signal_bit(number)); // before the handler is there, which would drop what nobody wants
    if (d.listeners == 0) {
        struct sigaction action {};
        action.sa_handler = &eddy_signal_handler;
        action.sa_flags = SA_RESTART;
        ::sigemptyset(&action.sa_mask);
        if (::sigaction(number, &action, &d.previous) != 0) {
            s.wanted.fetch_and(~signal_bit(number));
            throw std::invalid_argument("signal " + std::to_string(number) + " cannot be caught");
        }
    }
    ++d.listeners;
}

void unwatch_signal(signal_slot& s, int number) noexcept {
    const std::lock_guard lock(dispositions_mutex);
    if ((s.wanted.load() & signal_bit(number)) == 0) return;
    restore(number); // first: what comes from now on is for who was there before
    s.wanted.fetch_and(~signal_bit(number));
    s.pending.fetch_and(~signal_bit(number));
}

void release_signal_slot(signal_slot& s) noexcept {
    {
        const std::lock_guard lock(dispositions_mutex);
        const std::uint64_t wanted = s.wanted.load();
        for (int n = 1; n <= most_signals; ++n) {
            if ((wanted & signal_bit(n)) != 0) restore(n);
        }
        s.wanted = 0;
    }
    while (handlers_running.load() > 0) {} // a few instructions of another thread
    s.wake_fd = -1;
    s.used = false;
}

} // namespace eddy::detail
