// The command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace port_proxy {

/// Whom to connect to: a name or an address.
struct target {
    std::string host;
    std::uint16_t port = 0;
    bool operator==(const target&) const = default;
};

struct options {
    std::string address = "127.0.0.1"; // an open proxy is not to be had by forgetting an option
    std::uint16_t port = 0;
    std::optional<target> forward; // else SOCKS5
    std::optional<std::string> user;
    std::string password;
    std::size_t max_connections = 1000;
    std::chrono::nanoseconds idle_timeout = std::chrono::minutes(5);
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
    std::chrono::nanoseconds grace = std::chrono::seconds(5);
};

/// Throws `std::invalid_argument`, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

inline constexpr const char* usage =
    "usage: proxy --port N (--forward HOST:PORT | --socks5 [--user NAME]) [--address A] [--max-connections N]\n"
    "             [--idle-timeout S] [--connect-timeout S] [--grace S]\n";

} // namespace port_proxy
