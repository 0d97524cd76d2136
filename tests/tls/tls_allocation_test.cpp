// What TLS streams promise to do without allocating, once warm.
#include "tls/support.hpp"

#include "coro/allocations.hpp"

using namespace tls_tests;

namespace {

/// What a buffered reader on one end allocates for a thousand words that it waits for.
template <class Stream>
task<std::size_t> allocations_of_tls_reader(connection<Stream>& c) {
    buffered_reader reader{c.client};
    std::array<std::byte, 10> word{};
    std::size_t words = 0;
    auto reading = spawn([&]() -> task<> {
        for (;;) {
            co_await reader.read_exactly(word);
            ++words;
        }
    });
    const auto round = [&]() -> task<> {
        const std::size_t before = words;
        co_await c.server.write("0123456789"sv);
        while (words == before) co_await this_task::yield();
    };
    auto measured = allocations::in_steady_state(round);
    const std::size_t n = co_await std::move(measured);
    co_await reading.cancel_and_join();
    CHECK(words == 1300);
    co_return detail::frames_are_watched() ? 0 : n; // then neither frames nor buffers are kept
}

} // namespace

EDDY_TEST("a buffered reader over TLS allocates nothing in the steady state, whether the stream below lends or cannot") {
    connection<tcp_stream> lends = co_await over_tcp();
    const std::size_t n = co_await allocations_of_tls_reader(lends);
    CHECK(n == 0);
    connection<testing::memory_stream> cannot = co_await in_memory();
    const std::size_t m = co_await allocations_of_tls_reader(cannot);
    CHECK(m == 0);
}
