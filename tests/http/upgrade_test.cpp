// Connections that go on in another protocol, and servers that speak over something laid over TCP.
#include "http/support.hpp"

#include "../../io/http/src/handed_stream.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <source_location>
#include <stdexcept>
#include <system_error>

using namespace http_tests;

// Not in an anonymous namespace: GCC 12 then takes write_one_by_one for undefined.
namespace upgrade_tests {

/// A stream whose bytes are turned round on their way.
class turned_stream {
public:
    explicit turned_stream(tcp_stream s) : below_(std::move(s)) {}
    task<std::size_t> read_some(std::span<std::byte> buffer) {
        const std::size_t n = co_await below_.read_some(buffer);
        for (std::byte& b : buffer.first(n)) b ^= std::byte{0x20};
        co_return n;
    }
    task<> write(std::span<const std::byte> bytes) {
        std::vector<std::byte> turned(bytes.begin(), bytes.end());
        for (std::byte& b : turned) b ^= std::byte{0x20};
        co_await below_.write(std::span<const std::byte>(turned));
    }
    task<> shutdown_write() { co_await below_.shutdown_write(); }
    task<> close() { co_await below_.close(); }
    void abort() noexcept { below_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return below_.is_open(); }

private:
    tcp_stream below_;
};

} // namespace upgrade_tests

using upgrade_tests::turned_stream;

namespace {

const std::string upgrade_head = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo, other\r\n\r\n";

task<std::string> read_upgraded(any_stream& s) {
    std::array<std::byte, 64> buffer;
    const std::size_t n = co_await s.read_some(buffer);
    co_return std::string(reinterpret_cast<const char*>(buffer.data()), n);
}

task<> echo_protocol(any_stream s) {
    for (std::string part = co_await read_upgraded(s); !part.empty(); part = co_await read_upgraded(s)) co_await s.write("<" + part + ">");
}

task<http::response> upgrading(http::request q) {
    co_return http::response::upgrade("echo", echo_protocol).set("X-Path", q.target);
}

std::string turned(std::string text) {
    for (char& c : text) c = static_cast<char>(c ^ 0x20);
    return text;
}

} // namespace

EDDY_TEST("upgrade: 101, and the connection is the function's, with what was sent ahead") {
    http::server hs{upgrading};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(upgrade_head + "early");
    const std::string head = co_await c.read_until("<early>");
    CHECK(status_line(head) == "HTTP/1.1 101 Switching Protocols");
    CHECK(head.find("\r\nConnection: Upgrade\r\n") != std::string::npos);
    CHECK(head.find("\r\nUpgrade: echo\r\n") != std::string::npos);
    CHECK(head.find("\r\nX-Path: /chat\r\n") != std::string::npos);
    CHECK(head.find("Content-Length") == std::string::npos);
    co_await c.send("late");
    const std::string late = co_await c.read_until("<late>");
    CHECK(late == "<late>");
    co_await c.end_sending();
    const std::string end = co_await c.read_to_end();
    CHECK(end.empty());
}

EDDY_TEST("upgrade: who did not ask for it is told what there is") {
    http::server hs{upgrading};
    co_await hs.listen({"127.0.0.1", 0});
    const std::vector<std::string> wrong{
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n",
    };
    for (const std::string& request : wrong) {
        raw_connection c = co_await raw_connection::open(hs.port());
        co_await c.send(request);
        const std::string got = co_await c.read_until("426 ", 2);
        INFO(request);
        CHECK(status_line(got) == "HTTP/1.1 426 Upgrade Required");
        CHECK(got.find("\r\nUpgrade: echo\r\n") != std::string::npos);
    }
}

EDDY_TEST("upgrade: shutdown cancels it at once and gives it the grace to say farewell") {
    bool left = false;
    http::server hs{[&](http::request) -> task<http::response> {
        co_return http::response::upgrade("echo", [&](any_stream s) -> task<> {
            try {
                co_await read_upgraded(s);
            } catch (const operation_cancelled&) {
                left = true;
            }
            auto farewell = [&]() -> task<> { co_await s.write("bye"); };
            co_await with_shield(farewell);
        });
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(upgrade_head);
    co_await c.read_until("\r\n\r\n");
    co_await testing::settle();
    const auto start = loop_clock::now();
    co_await hs.shutdown(1h);
    const bool at_once = loop_clock::now() - start < 1h;
    CHECK(at_once);
    CHECK(left);
    const std::string rest = co_await c.read_to_end();
    CHECK(rest == "bye");
    CHECK(hs.connections() == 0);
}

EDDY_TEST("upgrade: its failure is reported, a client that leaves is not") {
    reported r;
    http::server hs{[](http::request q) -> task<http::response> {
        const std::string target = q.target;
        co_return http::response::upgrade("echo", [target](any_stream s) -> task<> {
            if (target == "/fail") throw std::runtime_error("it broke");
            if (target == "/late") {
                co_await s.close();
                co_await s.write("too late");
            }
            co_await read_upgraded(s);
            throw broken_resource("gone");
        });
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection leaves = co_await raw_connection::open(hs.port());
    co_await leaves.send(upgrade_head);
    co_await leaves.read_until("\r\n\r\n");
    co_await leaves.end_sending();
    const std::string end = co_await leaves.read_to_end();
    CHECK(end.empty());
    CHECK(r.messages.empty());
    raw_connection fails = co_await raw_connection::open(hs.port());
    co_await fails.send("GET /fail" + upgrade_head.substr(9));
    co_await fails.read_until("\r\n\r\n");
    const std::string closed = co_await fails.read_to_end();
    CHECK(closed.empty());
    CHECK(r.messages == "a connection that was upgraded failed: GET /fail\n");
    raw_connection late = co_await raw_connection::open(hs.port());
    co_await late.send("GET /late" + upgrade_head.substr(9));
    co_await late.read_to_end();
    CHECK(r.messages.ends_with("a connection that was upgraded failed: GET /late\n")); // a use of what was closed is a mistake
}

EDDY_TEST("wrap: the server speaks over what is laid over TCP") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/up") co_return http::response::upgrade("echo", echo_protocol);
        co_return http::response::stream(200, "text/plain", [](http::body_writer& out) -> task<> { co_await out.write("streamed"); });
    }};
    hs.wrap([](tcp_stream s) -> task<turned_stream> { co_return turned_stream(std::move(s)); });
    co_await hs.listen({"127.0.0.1", 0});
    CHECK(hs.url("/x") == "https://127.0.0.1:" + std::to_string(hs.port()) + "/x");
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = turned(co_await c.ask(turned("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")));
    CHECK(got.find("\r\n8\r\nstreamed\r\n0\r\n\r\n") != std::string::npos);
    raw_connection up = co_await raw_connection::open(hs.port());
    co_await up.send(turned("GET /up" + upgrade_head.substr(9) + "x"));
    const std::string echoed = turned(co_await up.read_until(turned("<x>")));
    CHECK(status_line(echoed) == "HTTP/1.1 101 Switching Protocols");
    CHECK_THROWS_AS(hs.wrap([](tcp_stream s) -> task<turned_stream> { co_return turned_stream(std::move(s)); }), std::logic_error);
}

EDDY_TEST("wrap: what fails, or takes too long, costs its own connection only") {
    reported r;
    int connections = 0;
    http::server hs{echo, {.header_timeout = 5s}};
    hs.wrap([&](tcp_stream s) -> task<tcp_stream> {
        const int n = ++connections;
        if (n == 1) throw std::runtime_error("no handshake");
        if (n == 2) co_await sleep_for(1h);
        co_return s;
    });
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection fails = co_await raw_connection::open(hs.port());
    const std::string nothing = co_await fails.read_to_end();
    CHECK(nothing.empty());
    raw_connection hangs = co_await raw_connection::open(hs.port());
    const std::string late = co_await hangs.read_to_end();
    CHECK(late.empty());
    raw_connection works = co_await raw_connection::open(hs.port());
    const std::string got = co_await works.ask("GET /x HTTP/1.0\r\n\r\n");
    CHECK(body_of(got) == "GET /x");
    CHECK(connections == 3);
    CHECK(r.messages.starts_with("the wrapping of an HTTP connection failed: from 127.0.0.1:")); // the first, which is no handshake's
    CHECK(std::count(r.messages.begin(), r.messages.end(), '\n') == 1);
    co_await hs.shutdown(1h);
}

EDDY_TEST("wrap: nobody is told of a handshake that failed, but of everything else") {
    reported r;
    std::exception_ptr error;
    http::server hs{echo};
    hs.wrap([&](tcp_stream s) -> task<tcp_stream> {
        co_await this_task::yield();
        if (error) std::rethrow_exception(error);
        co_return s;
    });
    co_await hs.listen({"127.0.0.1", 0});
    const auto fails_with = [&](std::exception_ptr e) -> task<std::size_t> {
        error = std::move(e);
        r.messages.clear();
        raw_connection c = co_await raw_connection::open(hs.port());
        const std::string nothing = co_await c.read_to_end();
        CHECK(nothing.empty());
        co_return static_cast<std::size_t>(std::count(r.messages.begin(), r.messages.end(), '\n'));
    };
    const std::array quiet{
        std::make_exception_ptr(std::system_error(ECONNRESET, std::generic_category(), "read")),
        std::make_exception_ptr(timeout_error(1s, std::source_location::current())),
        std::make_exception_ptr(broken_resource("the peer is gone")),
        std::make_exception_ptr(closed_resource("closed")),
    };
    for (const std::exception_ptr& e : quiet) {
        const std::size_t told = co_await fails_with(e);
        CHECK(told == 0);
    }
    const std::array loud{
        std::make_exception_ptr(std::out_of_range("no such host")),
        std::make_exception_ptr(std::bad_alloc()),
        std::make_exception_ptr(busy_resource("two at once")),
        std::make_exception_ptr(42),
    };
    for (const std::exception_ptr& e : loud) {
        const std::size_t told = co_await fails_with(e);
        CHECK(told == 1);
        CHECK(r.messages.starts_with("the wrapping of an HTTP connection failed: from 127.0.0.1:"));
    }
    error = nullptr;
    raw_connection works = co_await raw_connection::open(hs.port());
    const std::string got = co_await works.ask("GET /x HTTP/1.0\r\n\r\n");
    CHECK(body_of(got) == "GET /x");
}

EDDY_TEST("wrap: shutdown does not wait for a handshake") {
    http::server hs{echo};
    hs.wrap([&](tcp_stream s) -> task<tcp_stream> {
        co_await sleep_for(10s);
        co_return s;
    });
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    while (hs.connections() == 0) co_await this_task::yield();
    const auto start = loop_clock::now();
    co_await hs.shutdown(1h);
    const bool at_once = loop_clock::now() - start < 10s;
    CHECK(at_once);
}

EDDY_TEST("upgrade: what a backend does is not taken for the client's leaving") {
    reported r;
    event failed;
    http::server hs{[&](http::request) -> task<http::response> {
        co_return http::response::upgrade("echo", [&](any_stream s) -> task<> {
            co_await s.write("hi");
            failed.set();
            throw std::system_error(ECONNRESET, std::generic_category(), "read from the backend");
        });
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(upgrade_head);
    const std::string got = co_await c.read_to_end();
    CHECK(got.ends_with("hi"));
    CHECK(failed.is_set());
    co_await testing::settle();
    CHECK(r.messages.starts_with("a connection that was upgraded failed: GET "));
}

EDDY_TEST("upgrade: two reads at once of what was sent ahead are refused") {
    testing::memory_streams ends = testing::memory_stream_pair();
    const auto state = std::make_shared<http::detail::handed_state>();
    state->rest = "early";
    any_stream s(http::detail::handed_stream(state, any_stream(std::move(ends.a))));
    CHECK(s.target<testing::memory_stream>() != nullptr);
    state->reading = true; // another read is at its checkpoint
    bool busy = false;
    try {
        co_await read_upgraded(s);
    } catch (const busy_resource&) {
        busy = true;
    }
    CHECK(busy);
    state->reading = false;
    const std::string early = co_await read_upgraded(s);
    CHECK(early == "early");
}
