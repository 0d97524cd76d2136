// sleep_for, sleep_until: let time pass without holding the loop.
#pragma once

#include <chrono>
#include <string_view>
#include <utility>

#include <eddy/detail/duration.hpp>
#include <eddy/detail/operation.hpp>
#include <eddy/detail/scheduler.hpp>

namespace eddy {

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] sleep_operation final : public leaf<sleep_operation> {
public:
    explicit sleep_operation(std::chrono::nanoseconds d) noexcept : timer_(*this), duration_(d), relative_(true) {}
    explicit sleep_operation(loop_clock::time_point when) noexcept : timer_(*this), when_(when), relative_(false) {}
    sleep_operation(sleep_operation&& o) noexcept
        : leaf(std::move(o)), timer_(*this), duration_(o.duration_), when_(o.when_), relative_(o.relative_) {}

    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start();
    bool abort() noexcept override;
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "sleep"; }

private:
    struct owned_timer : timer_node {
        explicit owned_timer(sleep_operation& o) noexcept : timer_node(&due), operation(o) {}
        sleep_operation& operation;
    };
    static void due(ready_node& n);
    owned_timer timer_;
    std::chrono::nanoseconds duration_{};
    loop_clock::time_point when_{};
    bool relative_;
};

} // namespace detail

/// Awaitable: resumes on the loop when `d` has passed, never early; equal deadlines in the order they were set (R7).
/// Zero and negative: exactly one tick. Checkpoint; cancelled, its timer is gone at once. Throws `std::invalid_argument`
/// for NaN. After asyncio.sleep.
template <class Rep, class Period>
detail::sleep_operation sleep_for(std::chrono::duration<Rep, Period> d) {
    return detail::sleep_operation(detail::to_nanoseconds(d));
}
/// The same until a point of time; one in the past: one tick.
inline detail::sleep_operation sleep_until(loop_clock::time_point when) noexcept {
    return detail::sleep_operation(when);
}

} // namespace eddy
