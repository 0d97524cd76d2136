// barrier: a number of tasks wait for each other, again and again.
//
//     barrier b{3};
//     std::size_t index = co_await b.wait();      // 0, 1 or 2, when all three are there
#pragma once

#include <cstddef>
#include <string_view>

#include <eddy/detail/attributes.hpp>
#include <eddy/detail/wait_queue.hpp>

namespace eddy {

namespace detail {
class barrier_wait;
}

/// After asyncio.Barrier. The party that completes the number releases the others and goes on without suspending; the
/// others become ready in the order they came. The next round can begin at once. Loop thread only; must outlive its
/// waiters.
class barrier {
public:
    /// Throws `std::invalid_argument` for less than one party.
    explicit barrier(std::ptrdiff_t parties);
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;
    ~barrier() = default;

    /// Awaitable: until all parties wait; this one's number among them, by arrival, 0 first. Checkpoint; cancelled,
    /// this party has not arrived, the barrier is not broken and another can take the place; a party that was released
    /// returns its number even if it is cancelled in that tick (R2). Throws `broken_barrier` if the barrier is reset or
    /// aborted while it waits, and if it is broken.
    detail::barrier_wait wait() noexcept EDDY_LIFETIMEBOUND;

    /// Makes who waits throw `broken_barrier`, and the barrier as new. Who was released already is not affected.
    void reset() noexcept;
    /// Makes who waits, and who comes, throw `broken_barrier` until `reset`.
    void abort() noexcept;
    /// Parties that have arrived and wait for the others.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
    [[nodiscard]] std::size_t parties() const noexcept { return parties_; }
    [[nodiscard]] bool broken() const noexcept { return broken_; }

private:
    friend class detail::barrier_wait;
    void release() noexcept;
    void refuse() noexcept;
    detail::wait_queue waiters_;
    std::size_t waiting_ = 0;
    std::size_t parties_;
    bool broken_ = false;
};

// --- implementation

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] barrier_wait final : public queued_operation {
public:
    explicit barrier_wait(barrier& b) noexcept : queued_operation(b.waiters_), barrier_(&b) {}
    barrier_wait(barrier_wait&&) noexcept = default;

    bool begin() override { return try_now() || start(); }
    [[nodiscard]] bool try_now();
    bool start() noexcept {
        ++barrier_->waiting_;
        enqueue();
        return false;
    }
    bool abort() noexcept override {
        if (!orphaned()) --barrier_->waiting_;
        return queued_operation::abort();
    }
    [[nodiscard]] std::size_t take() const;
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "barrier"; }

private:
    friend class eddy::barrier;
    barrier* barrier_;
    std::size_t index_ = 0;
    bool refused_ = false;
};

} // namespace detail

inline detail::barrier_wait barrier::wait() noexcept EDDY_LIFETIMEBOUND {
    return detail::barrier_wait(*this);
}

} // namespace eddy
