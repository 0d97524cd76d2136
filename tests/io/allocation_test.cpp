// What sockets promise to do without allocating, once warm.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <chrono>
#include <new>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

namespace {

/// A stream that has no read_borrowed.
class cannot_lend {
public:
    explicit cannot_lend(unix_stream s) noexcept : below_(std::move(s)) {}
    detail::read_operation read_some(std::span<std::byte> buffer) { return below_.read_some(buffer); }
    detail::write_operation write(std::span<const std::byte> bytes) { return below_.write(bytes); }

private:
    unix_stream below_;
};

/// What a buffered reader on `from` allocates when `to` is written to a thousand times: for words that are there when they are asked for,
/// or (`waiting`) that it waits for.
template <class From, class To>
task<std::size_t> allocations_of_reader(From& from, To& to, bool waiting, buffered_reader_options options = {}) {
    buffered_reader reader{from, options};
    std::array<std::byte, 10> word{};
    std::size_t words = 0;
    auto reading = spawn([&]() -> task<> {
        for (;;) {
            co_await reader.read_exactly(word);
            ++words;
        }
    });
    if (!waiting) co_await reading.cancel_and_join();
    const auto round = [&]() -> task<> {
        const std::size_t before = words;
        co_await to.write("0123456789"sv);
        if (!waiting) {
            co_await reader.read_exactly(word);
            ++words;
        }
        while (words == before) co_await this_task::yield();
    };
    auto measured = allocations::in_steady_state(round);
    const std::size_t n = co_await std::move(measured);
    co_await reading.cancel_and_join();
    CHECK(words == 1300);
    co_return n;
}

} // namespace

EDDY_TEST("datagrams that are sent and received at once allocate nothing") {
    udp_socket u = udp_socket::bind({"127.0.0.1", 0});
    udp_socket c = udp_socket::bind({"127.0.0.1", 0});
    const ip_endpoint to = u.local_endpoint();
    std::array<std::byte, 64> buffer;
    const std::array<udp_socket::outgoing, 2> out{{{bytes_of("a"), to}, {bytes_of("b"), to}}};
    std::array<udp_socket::incoming, 2> in{};
    for (udp_socket::incoming& i : in) i.buffer = buffer;
    std::size_t before = 0;
    for (int i = 0; i < 1300; ++i) { // one coroutine: the headers of a batch are in its frame
        if (i == 300) before = allocations::count();
        co_await c.send_to("datagram"sv, to);
        static_cast<void>(co_await u.receive_from(buffer));
        co_await c.send_many(out);
        static_cast<void>(co_await u.receive_many(in));
    }
    const std::size_t n = allocations::count() - before;
    CHECK((n == 0 || !allocations::counted));
}

EDDY_TEST("datagrams that are waited for allocate nothing") {
    udp_socket u = udp_socket::bind({"127.0.0.1", 0});
    udp_socket c = udp_socket::connect(u.local_endpoint());
    std::array<std::byte, 64> buffer;
    std::size_t received = 0;
    auto receiving = spawn([&]() -> task<> {
        for (;;) {
            static_cast<void>(co_await u.receive_from(buffer));
            ++received;
        }
    });
    const auto round = [&]() -> task<> {
        const std::size_t before = received;
        co_await c.send("datagram"sv);
        while (received == before) co_await this_task::yield();
    };
    const std::size_t n = co_await allocations::in_steady_state(round);
    CHECK(n == 0);
    co_await receiving.cancel_and_join();
}

EDDY_TEST("bytes over a Unix-domain stream allocate nothing") {
    unix_streams ends = unix_stream_pair();
    std::array<std::byte, 64> buffer;
    std::size_t received = 0;
    auto receiving = spawn([&]() -> task<> {
        for (;;) received += co_await ends.b.read_some(buffer);
    });
    const auto round = [&]() -> task<> {
        const std::size_t before = received;
        co_await ends.a.write("bytes"sv);
        while (received == before) co_await this_task::yield();
    };
    const std::size_t n = co_await allocations::in_steady_state(round);
    CHECK(n == 0);
    co_await receiving.cancel_and_join();
}

EDDY_TEST("a buffered reader allocates nothing in the steady state, whether its stream lends, cannot, or is one of which nobody knows") {
    for (const bool waiting : {true, false}) {
        INFO(waiting);
        std::string log;
        const auto note = [&log](std::string_view what, std::size_t n) { log += std::string(what) + " " + std::to_string(n) + ", "; };
        unix_streams a = unix_stream_pair();
        std::size_t n = co_await allocations_of_reader(a.a, a.b, waiting);
        if (detail::frames_are_watched()) n = 0; // nor are buffers kept then
        note("lends", n);
        unix_streams b = unix_stream_pair();
        cannot_lend plain(std::move(b.a));
        n = co_await allocations_of_reader(plain, b.b, waiting);
        note("cannot", n);
        unix_streams c = unix_stream_pair();
        any_stream any{cannot_lend(std::move(c.a))};
        n = co_await allocations_of_reader(any, c.b, waiting);
        note("any that cannot", n);
        testing::memory_streams d = testing::memory_stream_pair();
        n = co_await allocations_of_reader(d.a, d.b, waiting);
        note("in memory", n);
        unix_streams e = unix_stream_pair();
        n = co_await allocations_of_reader(e.a, e.b, waiting, {.chunk = 100});
        note("with a chunk of its own", n);
        CHECK(log == "lends 0, cannot 0, any that cannot 0, in memory 0, with a chunk of its own 0, ");
    }
}

TEST_CASE("borrowed buffers: a thousand that are in use at once again and again are allocated once, and those that are not needed any more go") {
    std::size_t again = 0;
    long over_the_bound = 0;
    long gone = 0;
    std::size_t few = 0;
    std::thread([&] { // a pool of its own
        std::vector<borrowed_bytes> all(5000);
        const auto borrow = [&all](std::size_t n, int times) {
            const std::size_t before = allocations::count();
            for (int i = 0; i < times; ++i) {
                for (std::size_t k = 0; k < n; ++k) all[k] = borrowed_bytes::with_room();
                for (std::size_t k = 0; k < n; ++k) all[k] = {};
            }
            return allocations::count() - before;
        };
        borrow(1000, 1);
        again = borrow(1000, 100);
        const long before = allocations::live();
        borrow(5000, 3);
        over_the_bound = allocations::live() - before;
        borrow(1, 200'000);
        gone = before - allocations::live();
        few = borrow(16, 100);
    }).join();
    if (!allocations::counted || detail::frames_are_watched()) return;
    CHECK(again == 0);
    CHECK(over_the_bound == 24); // 1024
    CHECK(gone == 1000 - 16);
    CHECK(few == 0);
}

TEST_CASE("borrowed buffers: a thread that only gives back what others have borrowed keeps few") {
    std::vector<borrowed_bytes> all(1000);
    for (borrowed_bytes& b : all) b = borrowed_bytes::with_room();
    long gone = 0;
    std::thread([&] {
        const long before = allocations::live();
        for (borrowed_bytes& b : all) b = {};
        gone = before - allocations::live();
    }).join();
    if (allocations::counted && !detail::frames_are_watched()) CHECK(gone == 1000 - 16);
}

// Each time in a loop of its own, which has nothing ready yet: Asio's waits then take their memory from several places.
TEST_CASE("a wait for which there is no memory says so, whichever allocation fails, and the stream works on") {
    for (const engine_kind engine : testing::engines()) {
        bool failed = true;
        for (long n = 0; failed; ++n) {
            std::size_t received = 0;
            const auto body = [&]() -> task<> {
                unix_streams ends = unix_stream_pair();
                std::array<std::byte, 8> buffer{};
                std::optional<allocations::failing> next;
                auto writing = spawn([&]() -> task<> {
                    co_await this_task::yield(); // the other one waits now, or could not
                    failed = next->happened();
                    next.reset();
                    co_await ends.b.write("x"sv);
                });
                next.emplace(n);
                try {
                    received = co_await ends.a.read_some(buffer);
                } catch (const std::bad_alloc&) {
                }
                co_await writing;
                if (received == 0) received = co_await ends.a.read_some(buffer);
            };
            run(body(), {.engine = engine});
            CHECK(received == 1);
        }
    }
}

TEST_CASE("a borrowed read for which there is no buffer in its turn says so, and the stream works on") {
    for (const engine_kind engine : testing::engines()) {
        std::string end;
        std::string next;
        const auto body = [&]() -> task<> {
            connection p = co_await connected();
            co_await p.server.write("a"sv);
            static_cast<void>(co_await p.client.read_borrowed()); // from now on it is known that a short read empties it
            auto reading = spawn([&]() -> task<std::string> {
                const borrowed_bytes got = co_await p.client.read_borrowed();
                co_return std::string(got.text());
            });
            co_await this_task::yield(); // it waits now
            const borrowed_bytes the_spare_one = borrowed_bytes::with_room();
            co_await p.server.write("b"sv);
            std::optional<allocations::failing> none(std::in_place, 0);
            co_await reading.join();
            none.reset();
            end = words::of(co_await as_result(std::move(reading)));
            const borrowed_bytes got = co_await p.client.read_borrowed();
            next = std::string(got.text());
            co_await p.client.close();
        };
        std::thread([&] { run(body(), {.engine = engine}); }).join(); // which has no spare buffers yet
        CHECK(end == "std::bad_alloc");
        CHECK(next == "b");
    }
}

// Asio's queue of timers grows when the first one is waited for, and asks the handler, which it has moved from, for its allocator.
TEST_CASE("a loop that has no memory to wait for its first timer says so, whichever allocation fails") {
    for (const engine_kind engine : testing::engines()) {
        std::string end;
        int failures = 0;
        bool failed = true;
        for (long n = 0; failed; ++n) {
            std::optional<allocations::failing> next;
            const auto body = [&]() -> task<> {
                next.emplace(n);
                co_await sleep_for(std::chrono::milliseconds(1));
            };
            end = "ok";
            try {
                run(body(), {.engine = engine});
            } catch (const std::bad_alloc&) {
                end = "no memory";
                ++failures;
            }
            failed = next->happened();
            next.reset();
        }
        CHECK(failures > 0);
        CHECK(end == "ok"); // the last time there was enough
    }
}
