// The command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace jobs_dashboard {

struct options {
    std::string url;
    std::string results;
    std::string key_prefix;
    std::vector<std::string> queues;
    std::string address = "127.0.0.1";
    std::uint16_t port = 8080;
    std::vector<std::string> hosts; // names under which it is reached
    std::chrono::seconds heartbeat{10};
    bool enable_events = true;
    bool read_only = false;
    bool help = false;
};

/// Throws `std::invalid_argument`, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

inline constexpr const char* usage =
    "usage: jobs_dashboard --url redis://HOST[:PORT][/DB] [--results URL] [--queue NAME]... [--key-prefix TEXT]\n"
    "                      [--port N] [--address A] [--host NAME]... [--heartbeat SECONDS] [--no-enable-events] [--read-only]\n";

} // namespace jobs_dashboard
