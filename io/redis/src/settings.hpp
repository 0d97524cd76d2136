// Where to connect, and how: the URL and the options, copied.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

#include <eddy/redis/options.hpp>
#include <eddy/retry.hpp>
#include <eddy/tls_context.hpp>

namespace eddy::redis::detail {

enum class transport : std::uint8_t { tcp, tls, unix_socket, given };

struct settings {
    transport over = transport::tcp;
    std::string host;      // or the path of a Unix socket
    std::uint16_t port = 6379;
    std::string user;
    std::string password;
    int database = 0;
    std::string client_name;
    std::string endpoint;  // for people: without user and password
    std::chrono::nanoseconds connect_timeout{};
    std::chrono::nanoseconds timeout{};
    std::size_t max_pending = 0;
    std::size_t max_reply = 0;
    std::size_t max_idle = 0;
    retry_policy reconnect;
    bool verify_tls = true;
    std::optional<tls_context> tls;
    std::source_location site; // where the time limits were given
};

/// Throws `std::invalid_argument` that says what is wrong with the URL, without quoting its user and password, or with an option.
[[nodiscard]] settings settings_of(std::string_view url, const options& o, std::source_location site);
/// For a stream that is there.
[[nodiscard]] settings settings_of_stream(std::string name, const options& o, std::source_location site);

} // namespace eddy::redis::detail
