// What the TLS tests share: contexts, and connections whose two ends are on one loop.
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>
#include <eddy/tls.hpp>

#include "tls/certificates.hpp"

namespace tls_tests {

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

using memory_tls = basic_tls_stream<testing::memory_stream>;

/// Trusts the tests' authority and nobody else.
[[nodiscard]] inline tls_context client_context() {
    tls_context c = tls_context::client(tls_trust::nobody);
    c.trust_pem(authority().certificate);
    return c;
}
[[nodiscard]] inline tls_context server_context(const identity& i = localhost()) {
    return tls_context::server_pem(i.certificate, i.key);
}

/// The two ends of a connection, after the handshake.
template <class Stream>
class connection {
public:
    connection(basic_tls_stream<Stream> c, basic_tls_stream<Stream> s) noexcept : client(std::move(c)), server(std::move(s)) {}
    basic_tls_stream<Stream> client;
    basic_tls_stream<Stream> server;
};

/// Shakes hands at both ends at once; throws what the first of them throws.
template <class Stream>
[[nodiscard]] task<connection<Stream>> shake_hands(Stream a, Stream b, tls_context client, tls_context server, tls_options options = {}) {
    auto connecting = tls_upgrade(std::move(a), client, "localhost", options);
    auto accepting = tls_accept(std::move(b), server, options);
    auto both = co_await gather(std::move(connecting), std::move(accepting));
    co_return connection<Stream>(std::move(std::get<0>(both)), std::move(std::get<1>(both)));
}

[[nodiscard]] inline task<connection<testing::memory_stream>> in_memory(testing::memory_stream_options o = {}, tls_context client = client_context(),
                                                                        tls_context server = server_context()) {
    testing::memory_streams ends = testing::memory_stream_pair(o);
    return shake_hands(std::move(ends.a), std::move(ends.b), std::move(client), std::move(server));
}

[[nodiscard]] inline task<connection<tcp_stream>> over_tcp(tls_context client = client_context(), tls_context server = server_context()) {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream a = co_await tcp_connect(l.local_endpoint());
    tcp_stream b = co_await l.accept();
    co_return co_await shake_hands(std::move(a), std::move(b), std::move(client), std::move(server));
}

/// What one read gives.
template <class Stream>
[[nodiscard]] task<std::string> read_text(Stream& s, std::size_t most = 4096) {
    std::string text(most, '\0');
    const std::size_t n = co_await s.read_some(std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

template <class Stream>
[[nodiscard]] task<std::string> read_all(Stream& s) {
    buffered_reader r{s};
    std::string text = co_await r.read_to_end();
    co_return text;
}

template <class Stream>
[[nodiscard]] task<> write_text(Stream& s, std::string text) {
    co_await s.write(text);
}

/// "truncated: …", "tls_error: …", "cancelled".
[[nodiscard]] inline std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const operation_cancelled& c) {
        return c.partial() == 0 ? "cancelled" : "cancelled after " + std::to_string(c.partial());
    } catch (const truncated& e) {
        return std::string("truncated: ") + e.what();
    } catch (const tls_error& e) {
        return std::string("tls_error: ") + e.what();
    } catch (const closed_resource& e) {
        return std::string("closed: ") + e.what();
    } catch (const broken_resource& e) {
        return std::string("broken: ") + e.what();
    } catch (const busy_resource& e) {
        return std::string("busy: ") + e.what();
    } catch (const timeout_error& e) {
        return std::string("timeout: ") + e.what();
    } catch (const std::system_error& e) {
        return "system_error: " + e.code().message();
    } catch (const std::logic_error& e) {
        return std::string("logic_error: ") + e.what();
    } catch (const std::exception& e) {
        return e.what();
    }
}

/// Awaits, and gives what it threw, else "ok".
template <class T>
[[nodiscard]] task<std::string> ending_of(task<T> t) {
    try {
        static_cast<void>(co_await std::move(t));
    } catch (...) {
        co_return text_of(std::current_exception());
    }
    co_return "ok";
}

/// What became of the two ends of a handshake.
struct endings {
    std::string client;
    std::string server;
};
template <class Stream>
[[nodiscard]] task<endings> try_handshake(Stream a, Stream b, tls_context client, tls_context server, std::string host = "localhost", tls_options options = {}) {
    auto connecting = ending_of(tls_upgrade(std::move(a), client, std::move(host), options));
    auto accepting = ending_of(tls_accept(std::move(b), server, options));
    auto both = co_await gather(std::move(connecting), std::move(accepting));
    co_return endings{std::get<0>(both), std::get<1>(both)};
}
[[nodiscard]] inline task<endings> try_in_memory(tls_context client, tls_context server, std::string host = "localhost") {
    testing::memory_streams ends = testing::memory_stream_pair();
    return try_handshake(std::move(ends.a), std::move(ends.b), std::move(client), std::move(server), std::move(host));
}

} // namespace tls_tests
