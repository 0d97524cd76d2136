// The testing kit: test bodies that are coroutines on a loop with a virtual clock.
//
//     EDDY_TEST("a sleeper wakes") {
//         co_await sleep_for(1h);             // takes no real time
//         CHECK(…);                           // never a co_await inside a macro: await into a variable first (trap T10)
//     }
//
// Time stands still while anything can run and jumps to the next deadline when nothing can; not while a pool job runs,
// and, while the kernel has operations of ours, only after it was silent for 2 ms. The test fails on a deadlock, an
// exception that nobody received, and on coroutine frames, descriptors or threads that are left over; tasks that the body leaves
// behind are cancelled and joined as `run` does, and those that outlive that are a failure. A body needs at least one
// co_await or co_return. EDDY_TEST_REAL runs in real time under a watchdog, for tests with outside programs.
//
// A thread that some library starts once and keeps counts as left over by the test that was first to use it: start it before.
//
// EDDY_SHUFFLE_SEED in the environment permutes the order of ready tasks; tests that assert that order carry [fifo].
// Works with Catch2 2.13 and 3.
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_macros.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eddy/detail/virtual_clock.hpp>
#include <eddy/run.hpp>
#include <eddy/testing_memory_stream.hpp>
#include <eddy/testing_sequencer.hpp>

namespace eddy::testing {

/// What went wrong in a test body, besides failed assertions.
struct test_report {
    std::vector<std::string> problems;
    std::exception_ptr error; // what left the body
};

enum class test_time : bool { jumps, real };

/// Runs a body on one engine as EDDY_TEST does.
[[nodiscard]] test_report run_test(task<> (*body)(), test_time time, engine_kind engine);
/// The engines this build has; every test runs on each. EDDY_ENGINE picks one.
[[nodiscard]] std::vector<engine_kind> engines();

/// Holds the clock of the running test: while one lives, time moves by `advance` only.
class manual_clock {
public:
    /// Throws `std::logic_error` outside an EDDY_TEST body.
    manual_clock();
    manual_clock(const manual_clock&) = delete;
    manual_clock& operator=(const manual_clock&) = delete;
    ~manual_clock();
    /// Lets `d` pass: every timer that falls due runs at its time, in order, and everything settles in between. Throws
    /// `std::invalid_argument` for a negative `d` or NaN: time does not go back.
    template <class Rep, class Period>
    task<> advance(std::chrono::duration<Rep, Period> d) {
        return pass(detail::to_nanoseconds(d));
    }
    /// Time passes while the loop is busy, as in a step that computes for `d` or a machine that sleeps: nothing runs in
    /// between, and what fell due is late.
    void hold(std::chrono::nanoseconds d);
    [[nodiscard]] loop_clock::time_point now() const noexcept;
    /// The time of day, which goes on with the clock; `set_wall` sets it forward or back and lets no time pass.
    [[nodiscard]] std::chrono::system_clock::time_point wall_now() const noexcept;
    void set_wall(std::chrono::system_clock::time_point t) noexcept;

private:
    task<> pass(std::chrono::nanoseconds d);
    detail::virtual_clock* clock_;
    bool autojump_;
};

/// Sets the time of day of the running test (`event_loop::wall_now`), also where time jumps by itself. It is the start of
/// 2026 (UTC) when a body begins. Throws `std::logic_error` outside an EDDY_TEST body.
void set_wall_clock(std::chrono::system_clock::time_point t);

namespace detail_kit {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] settle_operation final : public eddy::detail::leaf<settle_operation> {
public:
    settle_operation() noexcept : node_(*this) {}
    settle_operation(settle_operation&& o) noexcept : leaf(std::move(o)), node_(*this) {}
    [[nodiscard]] bool try_now() const noexcept { return false; }
    bool start();
    bool abort() noexcept override;
    void take() const noexcept {}
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "settle"; }

private:
    struct node : eddy::detail::ready_node {
        explicit node(settle_operation& o) noexcept : ready_node(&settled), operation(o) {}
        settle_operation& operation;
    };
    static void settled(eddy::detail::ready_node& n);
    node node_;
};

} // namespace detail_kit

/// Awaitable: until nothing can run without time passing. Needs the virtual clock.
inline detail_kit::settle_operation settle() noexcept {
    return {};
}

/// Awaits `a` and gives its result. Throws `std::logic_error` if no checkpoint was passed meanwhile: neither a cancellation
/// nor the loop had its chance there. After trio's assert_checkpoints.
template <class A>
task<eddy::detail::owned_await_t<A>> expect_checkpoint(A a) {
    const eddy::detail::task_context& self = co_await eddy::detail::this_context();
    const std::uint64_t tick = self.loop().tick();
    const int budget = self.budget();
    const auto check = [&] {
        if (self.loop().tick() == tick && self.budget() == budget)
            eddy::detail::throw_logic_error("expect_checkpoint: no checkpoint was passed, so that nothing could be cancelled or run here");
    };
    if constexpr (std::is_void_v<eddy::detail::owned_await_t<A>>) {
        co_await std::move(a);
        check();
    } else {
        decltype(auto) value = co_await std::move(a);
        check();
        co_return static_cast<decltype(value)&&>(value);
    }
}

} // namespace eddy::testing

#define EDDY_TEST_CONCAT_2(a, b) a##b
#define EDDY_TEST_CONCAT(a, b) EDDY_TEST_CONCAT_2(a, b)
#define EDDY_TEST_DEFINE(function, time, ...)                                                                          \
    static ::eddy::task<> function();                                                                                  \
    TEST_CASE(__VA_ARGS__) {                                                                                           \
        for (const ::eddy::engine_kind engine : ::eddy::testing::engines()) {                                          \
            const ::eddy::testing::test_report report = ::eddy::testing::run_test(&function, time, engine);            \
            for (const std::string& problem : report.problems) FAIL_CHECK(problem);                                    \
            if (report.error) std::rethrow_exception(report.error);                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    static ::eddy::task<> function()

#define EDDY_TEST(...) EDDY_TEST_DEFINE(EDDY_TEST_CONCAT(eddy_test_, __COUNTER__), ::eddy::testing::test_time::jumps, __VA_ARGS__)
#define EDDY_TEST_REAL(...) EDDY_TEST_DEFINE(EDDY_TEST_CONCAT(eddy_test_, __COUNTER__), ::eddy::testing::test_time::real, __VA_ARGS__)
