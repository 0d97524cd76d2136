// The kit's streams in memory, with io's readers and writers on them.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

static_assert(async_read_stream<testing::memory_stream> && async_write_stream<testing::memory_stream>);

namespace {

task<std::string> read_part(testing::memory_stream& s) {
    std::array<std::byte, 100> buffer;
    const std::size_t n = co_await s.read_some(buffer);
    co_return std::string(reinterpret_cast<const char*>(buffer.data()), n);
}

} // namespace

EDDY_TEST("memory_stream_pair: bytes go both ways, in fragments, and end") {
    auto ends = testing::memory_stream_pair({.fragment = 3});
    co_await ends.a.write("hello"sv);
    co_await ends.b.write("you"sv);
    std::string first = co_await read_part(ends.b);
    std::string second = co_await read_part(ends.b);
    std::string back = co_await read_part(ends.a);
    CHECK(first + "|" + second + "|" + back == "hel|lo|you");
    co_await ends.a.shutdown_write();
    std::string end = co_await read_part(ends.b);
    CHECK(end.empty());
    co_await ends.b.write("still open"sv); // half-closed
    std::string rest = co_await words::ending(ends.a.write("x"sv));
    CHECK(rest == "write to a memory_stream after shutdown_write");
}

EDDY_TEST("ST-06 a separator that is split over three fragments is found once") {
    auto ends = testing::memory_stream_pair({.fragment = 1});
    co_await ends.a.write("one\r\n\r\ntwo\r\n\r\n"sv);
    buffered_reader r{ends.b};
    std::string one = co_await r.read_until("\r\n\r\n");
    std::string two = co_await r.read_until("\r\n\r\n");
    CHECK(one == "one\r\n\r\n");
    CHECK(two == "two\r\n\r\n");
}

EDDY_TEST("memory_stream: a write waits for room; writes of several tasks are never mixed") {
    auto ends = testing::memory_stream_pair({.fragment = 2, .capacity = 4});
    auto a = spawn([&]() -> task<> { co_await ends.a.write("aaaaaaaaaa"sv); });
    co_await testing::settle();
    auto b = spawn([&]() -> task<> {
        co_await ends.a.write("bbbbbbbbbb"sv);
        co_await ends.a.close();
    });
    co_await testing::settle();
    CHECK_FALSE(a.done());
    buffered_reader r{ends.b};
    std::string all = co_await r.read_to_end();
    CHECK(all == "aaaaaaaaaabbbbbbbbbb");
    co_await a;
    co_await b;
}

EDDY_TEST("memory_stream: cancelled, a read has lost nothing, and a write half-way breaks the stream") {
    auto ends = testing::memory_stream_pair({.capacity = 4});
    auto read = spawn([&]() -> task<> { static_cast<void>(co_await read_part(ends.b)); });
    co_await testing::settle();
    co_await read.cancel_and_join();
    std::size_t partial = 0;
    auto write = spawn([&]() -> task<> {
        try {
            co_await ends.a.write("0123456789"sv);
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await testing::settle();
    co_await write.cancel_and_join();
    CHECK(write.cancelled());
    std::string got = co_await read_part(ends.b);
    CHECK(got == "0123");
    CHECK(partial == 4);
    std::string later = co_await words::ending(ends.a.write("x"sv));
    CHECK(later == "write to a memory_stream: an earlier write was cancelled half-way");
}

EDDY_TEST("memory_stream: no wake-up is lost where the budget defers a wait") {
    auto ends = testing::memory_stream_pair({.fragment = 1, .capacity = 128});
    auto writing = spawn([&]() -> task<> {
        const std::string text(600, 'x');
        co_await ends.a.write(text);
    });
    std::array<std::byte, 16> buffer;
    for (std::size_t left = 600; left > 0;) left -= co_await ends.b.read_some(buffer);
    co_await writing;
    CHECK_THROWS_AS(testing::memory_stream_pair({.fragment = 0}), std::invalid_argument);
}

EDDY_TEST("memory_stream: what was sent is read before the error; a close ends what waits on either side") {
    auto ends = testing::memory_stream_pair();
    auto waits = spawn([&]() -> task<> { static_cast<void>(co_await read_part(ends.b)); });
    co_await testing::settle();
    std::string second = co_await words::ending(ends.b.read_some({}));
    CHECK(second == "another task is already reading from this memory_stream");
    co_await ends.b.close();
    co_await waits.join();
    CHECK(words::holds<closed_resource>(waits.exception()));
    std::string end = co_await words::ending(ends.a.write("x"sv));
    CHECK(end == "write to a memory_stream: Broken pipe");

    auto other = testing::memory_stream_pair();
    co_await other.a.write("last"sv);
    { const testing::memory_stream gone = std::move(other.a); }
    std::string last = co_await read_part(other.b);
    CHECK(last == "last");
    std::string after = co_await read_part(other.b);
    CHECK(after.empty());

    auto reset = testing::memory_stream_pair();
    co_await reset.a.write("dropped"sv);
    reset.a.abort();
    std::string broken = co_await words::ending(reset.b.read_some({}));
    std::array<std::byte, 4> buffer;
    std::string error = co_await words::ending(reset.b.read_some(buffer));
    CHECK(error == "read from a memory_stream: Connection reset by peer");
    CHECK(broken == error);
    CHECK_FALSE(reset.a.is_open());
}
