// Unix signals for loops: several listeners for each signal, the previous disposition back when the last one goes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include <eddy/detail/mailbox.hpp>
#include <eddy/detail/ready_list.hpp>

namespace eddy::detail {

constexpr int most_signals = 64; // their numbers begin with 1

/// The place of a signal in a set of them.
[[nodiscard]] constexpr std::uint64_t signal_bit(int number) noexcept {
    return std::uint64_t{1} << (number - 1);
}

/// One listener. Slots live for ever in a fixed table, so that a signal handler may look at them at any time.
struct signal_slot {
    std::atomic<bool> used{false};
    std::atomic<std::uint64_t> wanted{0};  // see signal_bit
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
/// The opposite, for one signal.
void unwatch_signal(signal_slot& s, int number) noexcept;
/// Stops watching, restores dispositions nobody needs any more, and waits for handlers that are looking at the slot.
void release_signal_slot(signal_slot& s) noexcept;

/// Who is told, on the loop's thread, that a slot has something pending.
class signal_listener {
public:
    /// `mail`: of the loop that the slot wakes; its descriptor must be there as long as a handler may write to it.
    signal_listener(std::shared_ptr<mailbox> mail, bool second_kills)
        : mail_(std::move(mail)), slot_(acquire_signal_slot(mail_->write_descriptor(), second_kills)) {}
    signal_listener(const signal_listener&) = delete;
    signal_listener& operator=(const signal_listener&) = delete;
    virtual void came() = 0;
    [[nodiscard]] bool pending() const noexcept { return slot_.pending.load(std::memory_order_relaxed) != 0; }
    /// What arrived since the last call; see `signal_bit`.
    [[nodiscard]] std::uint64_t take() noexcept { return slot_.pending.exchange(0); }
    [[nodiscard]] signal_slot& slot() noexcept { return slot_; }

    list_link<signal_listener> link;

protected:
    ~signal_listener() { release_signal_slot(slot_); }

private:
    std::shared_ptr<mailbox> mail_;
    signal_slot& slot_;
};

} // namespace eddy::detail
