// A WebSocket server of websocketpp's that sends back what it gets. It knows Asio and nothing of eddy; of websocketpp nobody else
// here sees anything, since that library is compiled as C++17, and this header as both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include <asio/io_context.hpp>

class echo_server {
public:
    /// Listens on a free port of 127.0.0.1. `io` must outlive it. Throws `std::exception` if it cannot.
    explicit echo_server(asio::io_context& io);
    echo_server(const echo_server&) = delete;
    echo_server& operator=(const echo_server&) = delete;
    ~echo_server();

    [[nodiscard]] std::uint16_t port() const noexcept;
    [[nodiscard]] std::size_t connections() const noexcept;
    /// Takes no more connections and closes those that are there (1001). `then` is called, once, when none is left.
    void stop(std::function<void()> then);

private:
    class impl;
    std::unique_ptr<impl> impl_;
};
