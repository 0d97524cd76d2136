// The command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace http_service {

/// PEM files.
struct tls_files {
    std::string certificate; // and after it those up to the authority that has signed it
    std::string key;
};

struct options {
    std::string address = "127.0.0.1";
    std::string files; // a folder
    std::uint16_t port = 0;
    std::optional<tls_files> tls;
    std::string client_authorities; // a PEM file: who connects needs a certificate of theirs; empty: anybody may
    std::chrono::seconds drain{1};
    std::chrono::seconds grace{10};
};

/// Throws `std::invalid_argument`, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

inline constexpr const char* usage = "usage: http_service --port N [--address A] [--files FOLDER] [--tls CERT KEY [--tls-clients CA]]\n"
                                     "                    [--drain S] [--grace S]\n";

} // namespace http_service
