// First-come-first-served wait lists of operations.
#pragma once

#include <utility>

#include <eddy/detail/operation.hpp>
#include <eddy/detail/ready_list.hpp>

namespace eddy::detail {

/// An operation that waits in a queue. `grant` completes it; what it was granted is in the derived class.
class queued_operation : public operation {
public:
    list_link<queued_operation> link;
    void grant() noexcept { finish(); }

protected:
    queued_operation() noexcept = default;
    queued_operation(queued_operation&& o) noexcept : operation(std::move(o)) {}
    ~queued_operation() = default;
};

using wait_queue = intrusive_list<queued_operation, &queued_operation::link>;

/// The parts that waiting in a `wait_queue` has in common; `Op` provides `try_now`, `take` and `waits_for`.
template <class Op>
class queued : public queued_operation {
public:
    bool begin() final { return static_cast<Op&>(*this).try_now() || start(); }
    bool start() noexcept {
        queue_->push_back(*this);
        return false;
    }
    bool abort() noexcept override {
        queue_->erase(*this);
        return true;
    }

protected:
    explicit queued(wait_queue& q) noexcept : queue_(&q) {}
    queued(queued&&) noexcept = default;
    ~queued() = default;

private:
    wait_queue* queue_;
};

} // namespace eddy::detail
