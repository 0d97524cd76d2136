#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <array>
#include <string>

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

task<> echo(tcp_stream s) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
        const std::size_t n = co_await s.read_some(buffer);
        if (n == 0) co_return;
        co_await s.write(std::span<const std::byte>(buffer).first(n));
    }
}

} // namespace

EDDY_TEST("SV-01 SV-03 stop_accepting leaves the live connection, join waits for it") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    server srv{std::move(l), echo};
    srv.start();
    tcp_stream c = co_await tcp_connect(where);
    co_await c.write("hello"sv);
    buffered_reader r{c};
    std::string got = co_await r.read_exactly(5);
    CHECK(got == "hello");
    srv.stop_accepting();
    co_await testing::settle();
    outcome<tcp_stream> refused = co_await as_result(tcp_connect(where));
    CHECK(refused.error() == std::errc::connection_refused);
    co_await c.write("again"sv);
    got = co_await r.read_exactly(5);
    CHECK(got == "again");
    auto joined = spawn(srv.join());
    co_await testing::settle();
    CHECK(!joined.done());
    co_await c.close();
    co_await joined;
}

EDDY_TEST("files round trip") {
    co_await write_file("/tmp/eddy-file-test", "some text");
    std::string text = co_await read_file("/tmp/eddy-file-test");
    CHECK(text == "some text");
    outcome<std::string> missing = co_await as_result(read_file("/nonexistent/x"));
    CHECK(missing.error() == std::errc::no_such_file_or_directory);
    auto found = co_await resolve("localhost", "80");
    CHECK(!found.empty());
}

EDDY_TEST("ST-15 a local close under a pending read is closed_resource") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    std::array<std::byte, 16> buffer;
    auto reading = spawn([&]() -> task<> { static_cast<void>(co_await c.read_some(buffer)); });
    co_await testing::settle();
    co_await c.close();
    bool closed = false;
    try {
        co_await reading;
    } catch (const closed_resource&) {
        closed = true;
    }
    CHECK(closed);
}
