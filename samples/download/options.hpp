// The command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "job.hpp"

namespace download_manager {

struct options {
    std::vector<job> jobs;
    std::string directory = ".";
    std::ptrdiff_t parallel = 4;
    std::uint64_t piece = std::uint64_t{1} << 20U;
    std::size_t max_whole = std::size_t{64} << 20U;
    int attempts = 5;
    std::chrono::milliseconds pause = std::chrono::milliseconds(500);
    std::chrono::seconds timeout = std::chrono::seconds(60);
};

// Throws std::invalid_argument, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

inline constexpr const char* usage =
    "usage: download [--directory D] [--parallel N] [--piece BYTES] [--max-whole BYTES]\n"
    "                [--attempts N] [--pause MS] [--timeout S] URL [--sha256 HEX]…\n";

} // namespace download_manager
