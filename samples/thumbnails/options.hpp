// The command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace thumbnails {

struct options {
    std::vector<std::string> scales{"loop", "threads", "processes", "jobs"};
    std::uint32_t width = 320;
    std::size_t workers = 0; // as many as there are cores; set by parse_options
    std::chrono::seconds timeout{60};
    std::string url = "memory:";
    std::string from, to; // folders
    // --make
    std::size_t make = 0; // pictures into `to`
    std::uint32_t size = 1600;
};

/// Throws `std::invalid_argument`, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

} // namespace thumbnails
