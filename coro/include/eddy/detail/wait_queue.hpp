// First-come-first-served wait lists of operations.
#pragma once

#include <utility>

#include <eddy/detail/operation.hpp>
#include <eddy/detail/ready_list.hpp>

namespace eddy::detail {

class wait_queue;

/// An operation that waits in a queue. `grant` completes it; what it was granted is in the derived class.
class queued_operation : public operation {
public:
    list_link<queued_operation> link;
    void grant() noexcept {
        if (aborting()) [[unlikely]]
            granted_late();
        else
            finish();
    }
    inline bool abort() noexcept override;

protected:
    explicit queued_operation(wait_queue& q) noexcept : queue_(&q) {}
    queued_operation(queued_operation&& o) noexcept : operation(std::move(o)), queue_(o.queue_) {}
    ~queued_operation() = default;
    inline void enqueue() noexcept;
    /// Throws `std::logic_error` if a task of another loop waits there already.
    void require_one_loop() const;
    /// Goes on waiting, at the end of another queue.
    inline void enqueue_in(wait_queue& q) noexcept;
    /// The queue it waits in is gone.
    [[nodiscard]] bool orphaned() const noexcept { return queue_ == nullptr; }
    /// Granted after an `abort` that returned false; overridden by those whose `abort` can.
    virtual void granted_late() noexcept { finish_cancelled(); }

private:
    friend class wait_queue;
    wait_queue* queue_; // null if that is gone
};

/// The waiters of one primitive, first come first served. A primitive has to outlive its waiters; but where a task is left
/// over, waiting for a local of a coroutine that has returned, cancelling it must still be possible: it then leaves a
/// queue that is no longer there.
class wait_queue : public intrusive_list<queued_operation, &queued_operation::link> {
public:
    wait_queue() noexcept = default;
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;
    ~wait_queue() {
        while (queued_operation* w = pop_front()) w->queue_ = nullptr;
    }
};

inline bool queued_operation::abort() noexcept {
    if (queue_) queue_->erase(*this);
    return true;
}
inline void queued_operation::enqueue() noexcept {
    queue_->push_back(*this);
}
inline void queued_operation::enqueue_in(wait_queue& q) noexcept {
    queue_ = &q;
    enqueue();
}

/// The parts that waiting in a `wait_queue` has in common; `Op` provides `try_now`, `take` and `waits_for`.
template <class Op>
class queued : public queued_operation {
public:
    bool begin() final { return static_cast<Op&>(*this).try_now() || start(); }
    bool start() {
        require_one_loop();
        enqueue();
        return false;
    }

protected:
    explicit queued(wait_queue& q) noexcept : queued_operation(q) {}
    queued(queued&&) noexcept = default;
    ~queued() = default;
};

} // namespace eddy::detail
