// A server that the test plays by hand, for answers that come in pieces.
#pragma once

#include "http/support.hpp"

namespace http_tests {

class peer {
public:
    [[nodiscard]] std::string url(std::string_view target = "/") const {
        return "http://127.0.0.1:" + std::to_string(listener_.local_endpoint().port()) + std::string(target);
    }
    /// Takes a connection and reads the head of a request.
    task<std::string> take_request() {
        connection_.emplace(co_await listener_.accept());
        co_return co_await connection_->read_until("\r\n\r\n");
    }
    task<> send(std::string text) { return connection_->send(std::move(text)); }
    /// Until `text` has come.
    task<std::string> receive(std::string_view text) { return connection_->read_until(text); }
    /// Closes the connection in order.
    task<> hang_up() {
        co_await connection_->stream().close();
        connection_.reset();
    }
    raw_connection& connection() { return *connection_; }

private:
    tcp_listener listener_ = tcp_listener::bind({"127.0.0.1", 0});
    std::optional<raw_connection> connection_;
};

/// What one read gives, as text.
inline task<std::string> read_piece(http::response_body& body) {
    std::array<std::byte, 64> space{};
    const std::size_t n = co_await body.read_some(space);
    co_return std::string(reinterpret_cast<const char*>(space.data()), n);
}

/// Awaits and gives the kind of http::error it throws; nullopt if it throws none.
template <class A>
task<std::optional<http::error_kind>> kind_of_failure(A a) {
    try {
        static_cast<void>(co_await std::move(a));
    } catch (const http::error& e) {
        co_return e.kind();
    }
    co_return std::nullopt;
}

} // namespace http_tests
