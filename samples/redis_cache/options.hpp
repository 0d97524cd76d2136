// The command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace redis_cache {

struct options {
    std::uint16_t port = 0;
    std::size_t max_memory = 64u << 20;
    std::size_t max_value = 1u << 20; // also of a key
    std::size_t max_clients = 1000;
};

/// Throws `std::invalid_argument`, with a message that names the option.
[[nodiscard]] options parse_options(std::span<char*> arguments);

} // namespace redis_cache
