// Unix signals for loops: several listeners for each signal, the previous disposition back when the last one goes.
#pragma once

#include <atomic>
#include <cstdint>

namespace eddy::detail {

/// One listener. Slots live for ever in a fixed table, so that a signal handler may look at them at any time.
struct signal_slot {
    std::atomic<bool> used{false};
    std::atomic<std::uint64_t> wanted{0};  // bit n: signal n
    std::atomic<std::uint64_t> pending{0}; // arrived, not taken yet
    std::atomic<int> wake_fd{-1};          // written to when one arrives
    std::atomic<int> seen{0};              // how many arrived
    std::atomic<bool> second_kills{false}; // a second signal restores the default disposition and re-raises (R16)
};

/// Takes a slot that wakes `wake_fd`; throws `std::runtime_error` if all are in use.
[[nodiscard]] signal_slot& acquire_signal_slot(int wake_fd, bool second_kills);
/// Adds a signal to the slot; installs the process-wide handler for the first. Throws `std::invalid_argument` for signals
/// that cannot be caught.
void watch_signal(signal_slot& s, int number);
/// Stops watching, restores dispositions nobody needs any more, and waits for handlers that are looking at the slot.
void release_signal_slot(signal_slot& s) noexcept;

} // namespace eddy::detail
