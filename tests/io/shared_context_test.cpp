// Our sockets in an asio::io_context of others.
#include <eddy/asio.hpp>
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <memory>
#include <optional>
#include <string>

#include "io/support.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

TEST_CASE("our sockets and Asio's talk to each other on one io_context") {
    asio::io_context io;
    event_loop inside{io};
    const std::string got = inside.run_until_complete([](asio::io_context& context) -> task<std::string> {
        tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
        asio::ip::tcp::socket theirs(context);
        const asio::ip::tcp::endpoint where(asio::ip::address_v4::loopback(), l.local_endpoint().port());
        co_await theirs.async_connect(where, use_eddy);
        tcp_stream ours = co_await l.accept();
        co_await asio::async_write(theirs, asio::buffer("hello", 5), use_eddy);
        std::string text = co_await read_text(ours);
        co_return text;
    }(io));
    CHECK(got == "hello");
}

TEST_CASE("RN-10 a stream may outlive the loop and the io_context, with a wait left behind in it") {
    std::optional<connection> c;
    {
        asio::io_context io;
        event_loop inside{io};
        inside.run_until_complete([](std::optional<connection>& out) -> task<> {
            out.emplace(co_await connected());
            static_cast<void>(co_await move_on_after(1ms, [&](cancel_scope&) -> task<> { static_cast<void>(co_await read_text(out->server)); }));
        }(c));
        c->client.abort(); // released: its memory waits for its handlers
    }
    c.reset();
}

TEST_CASE("RN-10 a stream that goes while others' handlers are still in the context") {
    asio::io_context io;
    bool ran = false;
    std::optional<connection> c;
    {
        event_loop inside{io};
        inside.run_until_complete([](std::optional<connection>& out) -> task<> {
            out.emplace(co_await connected());
            static_cast<void>(co_await move_on_after(1ms, [&](cancel_scope&) -> task<> { static_cast<void>(co_await read_text(out->server)); }));
        }(c));
        asio::post(io, [&] { ran = true; });
    }
    c.reset();
    CHECK_FALSE(ran);
    io.run();
    CHECK(ran);
}
