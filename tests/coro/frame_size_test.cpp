// How large frames and the states of spawned tasks are. They are written out when EDDY_PRINT_SIZES is set.
#include <eddy/coro.hpp>
#include <eddy/detail/frame.hpp>
#include <eddy/detail/task_state.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>
#include <vector>

#include "allocations.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

// GCC 12 lays frames out before it optimizes: they are the same in each build. Others are held to what is clearly too much.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12 && defined(__x86_64__)
constexpr bool sizes_are_known = true;
#else
constexpr bool sizes_are_known = false;
#endif

task<> simple_task() {
    co_return;
}
task<> waiting_task(event& e) {
    co_await e.wait();
}

/// Bytes of the one frame that `make` makes, as the allocator gives them: whole granules. It makes so many that the free list
/// has none left.
template <class F>
[[nodiscard]] std::size_t frame_bytes(F make) {
    std::vector<decltype(make())> kept;
    const std::size_t before = detail::frame_allocations();
    for (;;) {
        auto t = make();
        const std::size_t bytes = allocations::last_size();
        if (detail::frame_allocations() != before) return bytes;
        kept.push_back(std::move(t));
    }
}

[[nodiscard]] bool within(const char* what, std::size_t bytes, std::size_t known, std::size_t most) {
    if (std::getenv("EDDY_PRINT_SIZES")) std::printf("%-40s %4zu bytes, at most %zu\n", what, bytes, sizes_are_known ? known : most);
    return bytes > 0 && bytes <= (sizes_are_known ? known : most);
}

} // namespace

TEST_CASE("the frames of small tasks are small") {
    event e;
    CHECK(within("a task that does nothing", frame_bytes(simple_task), 128, 512));
    CHECK(within("a task that waits for an event", frame_bytes([&] { return waiting_task(e); }), 192, 768));
    CHECK(within("with_timeout", frame_bytes([] { return with_timeout(1h, [](cancel_scope&) { return simple_task(); }); }), 448, 2048));
}

TEST_CASE("what spawn adds to a task is small") {
    const auto callable = [p = static_cast<void*>(nullptr)]() -> task<> {
        static_cast<void>(p);
        co_return;
    };
    CHECK(within("the state of a spawned task<>", sizeof(detail::task_state<void>), 336, 768));
    CHECK(within("the state of a spawned task<int>", sizeof(detail::task_state<int>), 336, 768));
    using callable_state = detail::callable_task_state<void, std::remove_const_t<decltype(callable)>>;
    CHECK(within("the state of a spawned lambda of 8 bytes", sizeof(callable_state), 352, 768));
}
