// The interface by example, as far as it is sockets, streams, files and servers.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

EDDY_TEST("the interface: TCP and buffered reading") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::uint16_t port = l.local_endpoint().port();
    auto server = spawn([&]() -> task<> {
        tcp_stream c = co_await l.accept();
        co_await c.write("hello"sv);
        co_await c.write("line\nhead\r\n\r\nexactwin\r\nrest"sv);
        co_await c.shutdown_write();
        std::array<std::byte, 16> rest;
        const std::size_t n = co_await c.read_some(rest);
        CHECK(n == 0);
        co_await c.close();
    });
    tcp_stream s = co_await tcp_connect("localhost", port, {.timeout = 3s});
    std::array<std::byte, 5> buf;
    std::size_t n = co_await s.read_some(buf); // 0 = end
    CHECK(n > 0);
    buffered_reader r{s, {.limit = 64 * 1024}};
    std::array<std::byte, 5> left;
    if (n < buf.size()) co_await r.read_exactly(std::span(left).first(buf.size() - n));
    std::string line = co_await r.read_line();
    CHECK(line == "line\n");
    std::string head = co_await r.read_until("\r\n\r\n");
    CHECK(head == "head\r\n\r\n");
    co_await r.read_exactly(buf);
    CHECK(static_cast<char>(buf[0]) == 'e');
    std::array<std::string_view, 2> ends{"\n", "\r\n"};
    std::string first = co_await r.read_until(std::span<const std::string_view>(ends)); // separator included
    CHECK(first == "win\r\n");
    std::string rest = co_await r.read_to_end();
    CHECK(rest == "rest");
    co_await s.write(std::span<const std::byte>{});
    co_await s.shutdown_write();
    co_await server;
    outcome<std::size_t> after = co_await as_result(s.read_some(buf)); // no throw
    CHECK(after.has_value());
    co_await s.close();
    outcome<std::size_t> closed = co_await as_result(s.read_some(buf));
    CHECK_FALSE(closed.has_value());
    CHECK_FALSE(closed.cancelled());
    s.abort();
}

EDDY_TEST("the interface: an error as a value has its code") {
    io_test::connection c = co_await io_test::connected();
    c.server.abort();
    std::array<std::byte, 8> buf;
    outcome<std::size_t> n = co_await as_result(c.client.read_some(buf));
    REQUIRE_FALSE(n.has_value());
    const std::error_code code = n.error();
    CHECK(code == std::errc::connection_reset);
}

EDDY_TEST("the interface: serving") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint at = l.local_endpoint();
    auto serving = spawn([&]() -> task<> { co_await serve(l, [](tcp_stream s) -> task<> { co_await s.write("one"sv); }); });
    tcp_stream a = co_await tcp_connect(at);
    std::string text = co_await io_test::read_all(a);
    CHECK(text == "one");
    co_await serving.cancel_and_join();

    auto handler = [](tcp_stream s) -> task<> { co_await s.write("two"sv); };
    server srv{tcp_listener::bind({"127.0.0.1", 0}), handler};
    srv.start(); // into the root group
    tcp_stream b = co_await tcp_connect(srv.local_endpoint());
    text = co_await io_test::read_all(b);
    CHECK(text == "two");
    srv.stop_accepting();
    co_await srv.shutdown(5s);
    co_await srv.join();
}

EDDY_TEST("the interface: names and files") {
    auto addrs = co_await resolve("localhost", "80");
    REQUIRE_FALSE(addrs.empty());
    CHECK(addrs.front().port() == 80);

    const io_test::temporary_folder folder;
    const std::string path = folder.file("x");
    file f = co_await file::open(path, file::mode::read_write | file::mode::create);
    co_await f.write("abc"sv);
    std::array<std::byte, 8> buf;
    std::size_t n = co_await f.read_at(0, buf);
    CHECK(n == 3);
    co_await f.sync();
    co_await f.close();
    std::string text = co_await read_file(path);
    CHECK(text == "abc");
    co_await write_file(path, text);
}

EDDY_TEST("the interface: buffered writing, streams in memory, signals") {
    auto ends = testing::memory_stream_pair({.fragment = 3});
    buffered_writer w{ends.a};
    co_await w.write("x"sv);
    co_await w.flush();
    std::array<std::byte, 4> buf;
    std::size_t n = co_await ends.b.read_some(buf);
    CHECK(n == 1);
    signal_set sig{SIGUSR1};
    ::raise(SIGUSR1);
    int which = co_await sig.next();
    CHECK(which == SIGUSR1);
}

namespace {
int twice_as_much(int x) { return 2 * x; }   EDDY_REMOTE(twice_as_much)
} // namespace

EDDY_TEST("the interface: a pool of processes") {
    process_pool pp{2}; int v = co_await pp.run(twice_as_much, 21); std::vector<int> in{1, 2, 3}; auto all = co_await pp.map(twice_as_much, in);
    CHECK(v == 42);
    CHECK(all == std::vector<int>{2, 4, 6});
}

EDDY_TEST("the interface: readiness of a descriptor of one's own") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    co_await wait_writable(ends[1]);
    REQUIRE(::write(ends[1], "x", 1) == 1);
    co_await wait_readable(ends[0]);
    ::close(ends[0]);
    ::close(ends[1]);
}
