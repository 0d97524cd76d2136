#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

/// Notes the writes that reach it, and takes them when it is told to.
class slow_stream {
public:
    task<> write(std::span<const std::byte> bytes) {
        writes.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        co_await open.wait();
        if (fails) throw std::system_error(std::make_error_code(std::errc::broken_pipe), "slow_stream");
    }
    event open;
    bool fails = false;
    std::vector<std::string> writes;
};

} // namespace

EDDY_TEST("buffered_writer: what is written in a tick goes out together at its end, in order") {
    slow_stream s;
    s.open.set();
    buffered_writer w{s};
    co_await w.write("GET / "sv);
    co_await w.write("HTTP/1.1\r\n"sv);
    CHECK(s.writes.empty());
    CHECK(w.buffered() == 16);
    co_await testing::settle();
    CHECK(s.writes == std::vector<std::string>{"GET / HTTP/1.1\r\n"});
    CHECK(w.buffered() == 0);
    co_await w.write("x"sv);
    co_await w.flush();
    CHECK(s.writes.size() == 2);
    co_await w.flush(); // nothing to do
}

EDDY_TEST("ST-19 a write below the high mark takes no tick") {
    slow_stream s;
    buffered_writer w{s, {.high = 100, .low = 10}};
    const auto ticks = this_loop().stats().ticks;
    for (int i = 0; i < 9; ++i) co_await w.write("0123456789"sv);
    CHECK(this_loop().stats().ticks == ticks);
    s.open.set();
    co_await w.flush();
}

EDDY_TEST("ST-18 a write at the high mark waits until the buffer is down to the low one") {
    slow_stream s;
    buffered_writer w{s, {.high = 20, .low = 5}};
    co_await w.write("0123456789"sv);
    co_await testing::settle(); // the stream has it in hand
    co_await w.write("0123456789"sv);
    CHECK(w.buffered() == 20);
    auto third = spawn([&]() -> task<> { co_await w.write("x"sv); });
    co_await testing::settle();
    CHECK_FALSE(third.done());
    CHECK(w.buffered() == 20);
    s.open.set();
    co_await third;
    co_await w.flush();
    CHECK(s.writes == std::vector<std::string>{"0123456789", "0123456789", "x"});
}

EDDY_TEST("ST-20 ten tasks that wait for room are all released") {
    slow_stream s;
    buffered_writer w{s, {.high = 4, .low = 1}};
    co_await w.write("full"sv);
    int through = 0;
    std::vector<task_handle<>> writers;
    for (int i = 0; i < 10; ++i)
        writers.push_back(spawn([&]() -> task<> {
            co_await w.write("y"sv);
            ++through;
        }));
    co_await testing::settle();
    CHECK(through == 0);
    s.open.set();
    for (auto& t : writers) co_await t;
    co_await w.flush();
    CHECK(through == 10);
}

EDDY_TEST("ST-21 an error of the stream reaches every waiter, and every later call") {
    slow_stream s;
    s.fails = true;
    buffered_writer w{s, {.high = 4, .low = 1}};
    co_await w.write("full"sv);
    std::vector<task_handle<>> waiting;
    waiting.push_back(spawn([&]() -> task<> { co_await w.write("y"sv); }));
    waiting.push_back(spawn([&]() -> task<> { co_await w.flush(); }));
    co_await testing::settle();
    s.open.set();
    for (auto& t : waiting) {
        co_await t.join();
        CHECK(words::holds<std::system_error>(t.exception()));
    }
    std::string later = co_await words::ending(w.write("z"sv));
    CHECK(later == "slow_stream: Broken pipe");
    CHECK(w.buffered() == 0);
}

EDDY_TEST("buffered_writer: an error that nobody saw is reported when it goes") {
    words::reports reports;
    slow_stream s;
    s.fails = true;
    s.open.set();
    {
        buffered_writer w{s};
        co_await w.write("lost"sv);
        co_await testing::settle();
    }
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("Broken pipe") != std::string::npos);
}

EDDY_TEST("buffered_writer: a cancelled write has written nothing, a cancelled flush goes on") {
    slow_stream s;
    buffered_writer w{s, {.high = 4, .low = 1}};
    co_await w.write("full"sv);
    auto write = spawn([&]() -> task<> { co_await w.write("never"sv); });
    auto flush = spawn([&]() -> task<> { co_await w.flush(); });
    co_await testing::settle();
    co_await write.cancel_and_join();
    co_await flush.cancel_and_join();
    s.open.set();
    co_await w.flush();
    CHECK(s.writes == std::vector<std::string>{"full"});
}

EDDY_TEST("buffered_writer: who waits when it goes gets closed_resource") {
    slow_stream s;
    auto w = std::make_unique<buffered_writer<slow_stream>>(s, buffered_writer_options{.high = 4, .low = 1});
    co_await w->write("full"sv);
    auto write = spawn([&]() -> task<> { co_await w->write("y"sv); });
    auto flush = spawn([&]() -> task<> { co_await w->flush(); });
    co_await testing::settle();
    w.reset();
    co_await write.join();
    co_await flush.join();
    CHECK(words::holds<closed_resource>(write.exception()));
    CHECK(words::holds<closed_resource>(flush.exception()));
    co_await testing::settle(); // the write that was in progress has left the stream
}

namespace {

/// What was written to the client and not yet read from the server.
[[nodiscard]] std::size_t in_kernel(const io_test::connection& c) {
    int sent = 0;
    int waiting = 0;
    REQUIRE(::ioctl(c.client.native_handle(), SIOCOUTQ, &sent) == 0);
    REQUIRE(::ioctl(c.server.native_handle(), FIONREAD, &waiting) == 0);
    return static_cast<std::size_t>(sent) + static_cast<std::size_t>(waiting);
}

} // namespace

EDDY_TEST("buffered_writer: a flush waits for what was there before it, not for what others add") {
    io_test::connection c = co_await io_test::connected();
    buffered_writer w{c.client, {.high = 1 << 20, .low = 1 << 10}};
    co_await w.write(std::string(8 << 20, 'a')); // more than sockets hold
    auto flush = spawn([&]() -> task<> { co_await w.flush(); });
    co_await testing::settle();
    CHECK_FALSE(flush.done());
    bool stop = false;
    auto adding = spawn([&]() -> task<> {
        while (!stop) co_await w.write(std::string(1 << 20, 'b'));
    });
    std::size_t got = 0;
    auto reading = spawn([&]() -> task<> {
        std::string sink(1 << 16, '\0');
        for (std::size_t n = 1; n > 0; got += n) n = co_await c.server.read_some(std::as_writable_bytes(std::span(sink)));
    });
    co_await flush; // would never come if it waited for all
    CHECK(got + (1 << 16) + in_kernel(c) >= 8 << 20); // the reader may have a piece that it has not counted yet
    stop = true;
    co_await adding;
    co_await w.close();
    co_await c.client.shutdown_write();
    co_await reading;
}

EDDY_TEST("buffered_writer: close flushes, lets go of the stream and takes no more") {
    auto s = std::make_unique<slow_stream>();
    s->open.set();
    buffered_writer w{*s};
    co_await w.write("all"sv);
    co_await w.close();
    CHECK(s->writes == std::vector<std::string>{"all"});
    s.reset();
    std::string later = co_await words::ending(w.write("more"sv));
    CHECK(later == "buffered_writer: it was closed");
    co_await w.close(); // twice does no harm
}

EDDY_TEST("buffered_writer: a close that is cancelled drops the rest and lets go of the stream all the same") {
    auto s = std::make_unique<slow_stream>();
    buffered_writer w{*s};
    co_await w.write("never"sv);
    auto closing = spawn([&]() -> task<> { co_await w.close(); });
    co_await testing::settle();
    CHECK_FALSE(closing.done());
    co_await closing.cancel_and_join();
    CHECK(closing.cancelled());
    s.reset(); // no write of it is left
    co_await testing::settle();
}

TEST_CASE("buffered_writer: a flush in a cleanup sends while the loop shuts down") {
    std::string got;
    run([](std::string& out) -> task<> {
        spawn([](std::string& text) -> task<> {
            testing::memory_streams ends = testing::memory_stream_pair({.capacity = 4});
            auto reading = spawn([](testing::memory_stream& from, std::string& to) -> task<> {
                co_await with_shield([&]() -> task<> {
                    std::array<std::byte, 2> part;
                    for (std::size_t n = 1; n > 0;) {
                        n = co_await from.read_some(part);
                        to.append(reinterpret_cast<const char*>(part.data()), n);
                    }
                });
            }(ends.b, text));
            buffered_writer w{ends.a};
            event never;
            co_await with_cleanup([&] { return never.wait(); },
                                  [&]() -> task<> {
                                      co_await w.write("goodbye, then"sv);
                                      co_await w.close();
                                      co_await ends.a.close();
                                      co_await reading.join();
                                  });
        }(out));
        co_await this_task::yield();
    }(got));
    CHECK(got == "goodbye, then");
}

EDDY_TEST("buffered_writer: marks have to make sense") {
    slow_stream s;
    CHECK_THROWS_AS(buffered_writer<slow_stream>(s, {.high = 10, .low = 10}), std::invalid_argument);
    co_return;
}

EDDY_TEST("buffered_writer: over a socket, a thousand small writes arrive in order") {
    io_test::connection c = co_await io_test::connected();
    std::string sent;
    auto writing = spawn([&]() -> task<> {
        buffered_writer w{c.client, {.high = 1000, .low = 100}};
        for (int i = 0; i < 1000; ++i) {
            const std::string line = "line " + std::to_string(i) + "\n";
            sent += line;
            co_await w.write(line);
        }
        co_await w.flush();
        co_await c.client.shutdown_write();
    });
    std::string got = co_await io_test::read_all(c.server);
    co_await writing;
    CHECK(got == sent);
}

EDDY_TEST("buffered_writer: a text of its own may be written later") {
    slow_stream s;
    s.open.set();
    buffered_writer w{s};
    auto later = w.write(std::string(100, 'x') + "\n");
    co_await this_task::yield();
    co_await std::move(later);
    co_await w.write("literal");
    co_await w.flush();
    CHECK(s.writes == std::vector<std::string>{std::string(100, 'x') + "\nliteral"});
}
