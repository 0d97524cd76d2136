// Messages from other threads to a loop. The mailbox outlives the loop, so that a worker that finishes late finds it
// closed instead of gone (rules R13, R16).
#pragma once

#include <atomic>
#include <memory>

#include <eddy/detail/scheduler.hpp>

namespace eddy::detail {

// A stack that any thread pushes to and the loop takes as a whole. States of `head_`: null (empty), a node, or `closed`.
// The loop says in `sleeping_` that it is about to block in the kernel; whoever posts first after that wakes it. Both
// sides use sequentially consistent operations: either the loop sees the message or the poster sees the sleep.
class mailbox : public std::enable_shared_from_this<mailbox> {
public:
    mailbox();
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;
    ~mailbox();

    /// Any thread. False if the loop is closed; `n` is then untouched. After true `n` belongs to the loop.
    bool post(remote_node& n) noexcept;
    /// Any thread, signal handlers too: makes a sleeping loop look around.
    void wake() noexcept;

    // --- loop thread
    [[nodiscard]] int wake_descriptor() const noexcept { return read_fd_; }
    [[nodiscard]] int write_descriptor() const noexcept { return write_fd_; }
    [[nodiscard]] bool empty() const noexcept { return head_.load(std::memory_order_relaxed) == nullptr; }
    /// All messages, oldest first, linked by `next`.
    [[nodiscard]] remote_node* take_all() noexcept;
    /// False if a message is there: do not sleep.
    [[nodiscard]] bool prepare_sleep() noexcept;
    void awake() noexcept { sleeping_.store(false, std::memory_order_relaxed); }
    /// Refuses further messages; returns what had been accepted, oldest first.
    [[nodiscard]] remote_node* close() noexcept;
    /// Says that the loop is about to close: who would wait for it should not.
    void begin_closing() noexcept { closing_.store(true, std::memory_order_release); }
    /// Any thread.
    [[nodiscard]] bool closing() const noexcept { return closing_.load(std::memory_order_acquire); }

private:
    std::atomic<remote_node*> head_{nullptr};
    std::atomic<bool> sleeping_{false};
    std::atomic<bool> closing_{false};
    int read_fd_ = -1;
    int write_fd_ = -1;
};

/// The mailbox of the loop behind `s`.
[[nodiscard]] const std::shared_ptr<mailbox>& mailbox_of(scheduler& s) noexcept;

} // namespace eddy::detail
