// The testing kit: test bodies that are coroutines on a loop with a virtual clock.
//
//     EDDY_TEST("a sleeper wakes") {
//         co_await sleep_for(1h);             // takes no real time
//         CHECK(…);                           // never a co_await inside a macro: await into a variable first (trap T10)
//     }
//
// Time stands still while anything can run and jumps to the next deadline when nothing can; not while a pool job runs,
// and, while the kernel has operations of ours, only after it was silent for 2 ms. The test fails on a deadlock, an
// exception that nobody received, and on tasks, coroutine frames or descriptors that are left over. A body needs at least
// one co_await or co_return. EDDY_TEST_REAL runs in real time under a watchdog, for tests with outside programs.
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
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/detail/virtual_clock.hpp>
#include <eddy/run.hpp>

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
    /// Lets `d` pass: every timer that falls due runs at its time, in order, and everything settles in between.
    [[nodiscard]] task<> advance(std::chrono::nanoseconds d);
    [[nodiscard]] loop_clock::time_point now() const noexcept;

private:
    detail::virtual_clock* clock_;
    bool autojump_;
};

namespace detail_kit {

class settle_operation final : public eddy::detail::leaf<settle_operation> {
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
[[nodiscard]] inline detail_kit::settle_operation settle() noexcept {
    return {};
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

#define EDDY_TEST(...) EDDY_TEST_DEFINE(EDDY_TEST_CONCAT(eddy_test_, __LINE__), ::eddy::testing::test_time::jumps, __VA_ARGS__)
#define EDDY_TEST_REAL(...) EDDY_TEST_DEFINE(EDDY_TEST_CONCAT(eddy_test_, __LINE__), ::eddy::testing::test_time::real, __VA_ARGS__)
