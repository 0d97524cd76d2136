// What an awaited operation of Asio's allocates: nothing, if it is a basic one.
#include <fcntl.h>
#include <unistd.h>

#include <eddy/asio.hpp>
#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <array>

#include "coro/allocations.hpp"
#include "runtime/asio_pending.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using allocations::in_steady_state;

EDDY_TEST_REAL("waits for Asio's timers and transfers allocate nothing in their steady state") {
    asio::io_context& io = this_loop().io_context();
    asio::steady_timer timer(io);
    asio_test::pipe p(io);
    std::array<char, 16> data{};
    const auto waits = co_await in_steady_state([&]() -> task<> {
        timer.expires_after(0ms);
        co_await timer.async_wait(use_eddy);
    });
    const auto transfers = co_await in_steady_state([&]() -> task<> {
        static_cast<void>(co_await p.out.async_write_some(asio::buffer("x", 1), use_eddy));
        static_cast<void>(co_await p.in.async_read_some(asio::buffer(data), use_eddy));
    });
    CHECK(waits == 0);
    CHECK(transfers == 0);
}
