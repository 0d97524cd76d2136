// <eddy/asio.hpp> with Asio's own TLS, asio::ssl: both ends of a connection on one loop.
#include <eddy/asio.hpp>

#include <array>
#include <string>
#include <utility>

#include <asio/ssl.hpp>

#include "tls/support.hpp"

using namespace tls_tests;

namespace {

using asio_tls = asio::ssl::stream<asio::ip::tcp::socket>;

/// What a stream is made from is settled before it is made.
asio::ssl::context asio_client_context(bool trusting) {
    asio::ssl::context c(asio::ssl::context::tls_client);
    if (trusting) c.add_certificate_authority(asio::buffer(authority().certificate));
    c.set_verify_mode(asio::ssl::verify_peer);
    c.set_verify_callback(asio::ssl::host_name_verification("localhost"));
    return c;
}
asio::ssl::context asio_server_context() {
    asio::ssl::context c(asio::ssl::context::tls_server);
    c.use_certificate_chain(asio::buffer(localhost().certificate));
    c.use_private_key(asio::buffer(localhost().key), asio::ssl::context::pem);
    return c;
}

/// The ends of a connection, before the handshake. `trusting`: the client knows who signed the server's certificate.
class asio_ends {
public:
    explicit asio_ends(bool trusting = true)
        : client_context_(asio_client_context(trusting)), server_context_(asio_server_context()),
          client(this_loop().io_context(), client_context_), server(this_loop().io_context(), server_context_) {
        asio::ip::tcp::acceptor acceptor(this_loop().io_context(), {asio::ip::address_v4::loopback(), 0});
        client.next_layer().connect(acceptor.local_endpoint());
        acceptor.accept(server.next_layer());
    }

private:
    asio::ssl::context client_context_;
    asio::ssl::context server_context_;

public:
    asio_tls client;
    asio_tls server;
};

task<> shake(asio_tls& s, asio::ssl::stream_base::handshake_type as) {
    co_await s.async_handshake(as, use_eddy);
}
task<> shake_at_both(asio_ends& e) {
    auto connecting = shake(e.client, asio::ssl::stream_base::client);
    auto accepting = shake(e.server, asio::ssl::stream_base::server);
    co_await gather(std::move(connecting), std::move(accepting));
}

/// No two parts of it are the same.
std::string counted_text(std::size_t size) {
    std::string text;
    for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
    text.resize(size);
    return text;
}

/// Why nothing more came.
task<std::error_code> end_of(asio_tls& s, std::string& received) {
    std::array<char, 16 * 1024> part;
    for (;;) {
        const outcome<std::size_t> n = co_await as_result(s.async_read_some(asio::buffer(part), use_eddy));
        if (!n) co_return n.error();
        received.append(part.data(), *n);
    }
}

task<> echo_back(asio_tls& s) {
    std::array<char, 16 * 1024> part;
    for (;;) {
        const outcome<std::size_t> n = co_await as_result(s.async_read_some(asio::buffer(part), use_eddy));
        if (!n) break;
        co_await asio::async_write(s, asio::buffer(part, *n), use_eddy);
    }
    co_await s.async_shutdown(use_eddy);
}

} // namespace

EDDY_TEST("row 198 asio::ssl: a handshake, an exchange, and an end in good order") {
    asio_ends e;
    co_await shake_at_both(e);
    auto serving = spawn([&]() -> task<std::string> {
        std::string line;
        static_cast<void>(co_await asio::async_read_until(e.server, asio::dynamic_buffer(line), '\n', use_eddy));
        co_await asio::async_write(e.server, asio::buffer("answer\n"sv), use_eddy);
        const std::error_code end = co_await end_of(e.server, line);
        co_await e.server.async_shutdown(use_eddy);
        co_return line + (end == asio::error::eof ? "end" : end.message());
    });
    co_await asio::async_write(e.client, asio::buffer("question\n"sv), use_eddy);
    std::string answer;
    static_cast<void>(co_await asio::async_read_until(e.client, asio::dynamic_buffer(answer), '\n', use_eddy));
    co_await e.client.async_shutdown(use_eddy); // until the other end has done the same
    const std::string& said = co_await serving;
    CHECK(answer == "answer\n");
    CHECK(said == "question\nend");
}

EDDY_TEST("row 198 asio::ssl: a task writes while another reads") {
    asio_ends e;
    co_await shake_at_both(e);
    const std::string much = counted_text(400'000);
    auto echoing = spawn(echo_back(e.server));
    auto writing = spawn([&]() -> task<std::size_t> {
        co_return co_await asio::async_write(e.client, asio::buffer(much), use_eddy);
    });
    std::string echoed(much.size(), '\0');
    const std::size_t n = co_await asio::async_read(e.client, asio::buffer(echoed), use_eddy);
    const std::size_t written = co_await writing;
    co_await e.client.async_shutdown(use_eddy);
    co_await echoing;
    CHECK(written == much.size());
    CHECK(n == much.size());
    CHECK((echoed == much)); // without printing them
}

EDDY_TEST("row 198 asio::ssl: a handshake that fails throws the error of either end") {
    asio_ends e(false);
    const auto error_of_shaking = [](asio_tls& s, asio::ssl::stream_base::handshake_type as) -> task<std::error_code> {
        const outcome<void> o = co_await as_result(shake(s, as));
        co_return o ? std::error_code() : o.error();
    };
    auto accepting = spawn(error_of_shaking(e.server, asio::ssl::stream_base::server));
    const std::error_code at_client = co_await error_of_shaking(e.client, asio::ssl::stream_base::client);
    const std::error_code at_server = co_await accepting;
    CHECK((at_client.category() == asio::error::get_ssl_category()));
    CHECK((at_server.category() == asio::error::get_ssl_category())); // the alert
}

EDDY_TEST("asio::ssl: a peer that vanishes without a close_notify") {
    asio_ends e;
    co_await shake_at_both(e);
    co_await asio::async_write(e.server, asio::buffer("half a mess"sv), use_eddy);
    e.server.next_layer().close();
    std::string got;
    const std::error_code end = co_await end_of(e.client, got);
    CHECK(got == "half a mess");
    CHECK(end == asio::ssl::error::stream_truncated);
}

EDDY_TEST("R4 asio::ssl: a read that is cancelled half-way tells how much came; the connection can only be cut off then") {
    asio_ends e;
    co_await shake_at_both(e);
    std::array<char, 8> data{};
    std::size_t partial = 0;
    auto reading = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await asio::async_read(e.client, asio::buffer(data), use_eddy));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    co_await asio::async_write(e.server, asio::buffer("half"sv), use_eddy);
    while (data[3] == '\0') co_await this_task::yield();
    reading.cancel();
    co_await reading.join();
    CHECK(reading.cancelled());
    CHECK(partial == 4);
    CHECK(std::string_view(data.data(), 4) == "half");
    CHECK(this_loop().stats().pending_operations == 0);
    e.client.next_layer().shutdown(asio::socket_base::shutdown_both);
    std::string more;
    const std::error_code end = co_await end_of(e.server, more);
    CHECK(end == asio::ssl::error::stream_truncated);
    CHECK(more.empty());
}

EDDY_TEST("R4 asio::ssl: of a write that is cancelled half-way as much has gone out as it says, and no more is made up") {
    asio_ends e;
    co_await shake_at_both(e);
    e.client.next_layer().set_option(asio::socket_base::send_buffer_size(64 * 1024)); // so that it cannot get through
    e.server.next_layer().set_option(asio::socket_base::receive_buffer_size(64 * 1024));
    const std::string much = counted_text(16 << 20);
    std::size_t partial = 0;
    auto writing = spawn([&]() -> task<> {
        try {
            static_cast<void>(co_await asio::async_write(e.client, asio::buffer(much), use_eddy));
        } catch (const operation_cancelled& c) {
            partial = c.partial();
            throw;
        }
    });
    std::string arrived(200'000, '\0'); // more than async_write passes on in one go: the first part is done then
    static_cast<void>(co_await asio::async_read(e.server, asio::buffer(arrived), use_eddy));
    writing.cancel();
    co_await writing.join();
    CHECK(writing.cancelled());
    CHECK(partial > 0);
    e.client.next_layer().shutdown(asio::socket_base::shutdown_send);
    const std::error_code end = co_await end_of(e.server, arrived);
    CHECK(end == asio::ssl::error::stream_truncated);
    CHECK(arrived.size() >= partial);
    CHECK(arrived.size() < much.size());
    CHECK((much.compare(0, arrived.size(), arrived) == 0));
}

EDDY_TEST("row 198 asio::ssl: a handshake that is cancelled at any moment leaves nothing behind") {
    for (int i = 0; i < 20; ++i) {
        asio_ends e;
        auto accepting = spawn(ending_of(shake(e.server, asio::ssl::stream_base::server)));
        auto connecting = spawn(shake(e.client, asio::ssl::stream_base::client));
        for (int k = 0; k < i; ++k) co_await this_task::yield();
        connecting.cancel();
        co_await connecting.join(); // cancelled, or it was through
        e.client.next_layer().close();
        static_cast<void>(co_await accepting); // it depends on the moment how that ends
        CHECK(this_loop().stats().pending_operations == 0);
    }
}

EDDY_TEST("row 198 asio::ssl: a shutdown that the peer does not answer") {
    asio_ends e;
    co_await shake_at_both(e);
    const bool in_time = co_await move_on_after(1s, [&](cancel_scope&) -> task<> { co_await e.client.async_shutdown(use_eddy); });
    CHECK_FALSE(in_time);
    std::string got;
    const std::error_code end = co_await end_of(e.server, got);
    CHECK(end == asio::error::eof); // what we had to say was said
}
