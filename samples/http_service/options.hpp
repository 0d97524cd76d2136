// The command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

namespace http_service {

struct options {
    std::string address = "127.0.0.1";
    std::string files; // a folder
    std::uint16_t port = 0;
    std::chrono::seconds drain{1};
    std::chrono::seconds grace{10};
};

/// Throws `std::invalid_argument`, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

inline constexpr const char* usage = "usage: http_service --port N [--address A] [--files FOLDER] [--drain S] [--grace S]\n";

} // namespace http_service
