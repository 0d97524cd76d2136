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
    void grant() noexcept { finish(); }
    inline bool abort() noexcept override;

protected:
    explicit queued_operation(wait_queue& q) noexcept : queue_(&q) {}
    queued_operation(queued_operation&& o) noexcept : operation(std::move(o)), queue_(o.queue_) {}
    ~queued_operation() = default;
    inline void enqueue() noexcept;

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

/// The parts that waiting in a `wait_queue` has in common; `Op` provides `try_now`, `take` and `waits_for`.
template <class Op>
class queued : public queued_operation {
public:
    bool begin() final { return static_cast<Op&>(*this).try_now() || start(); }
    bool start() noexcept {
        enqueue();
        return false;
    }

protected:
    explicit queued(wait_queue& q) noexcept : queued_operation(q) {}
    queued(queued&&) noexcept = default;
    ~queued() = default;
};

} // namespace eddy::detail
