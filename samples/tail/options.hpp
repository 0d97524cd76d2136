// The command line.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace file_tail {

struct options {
    std::size_t lines = 10;
    std::vector<std::string> files;
};

/// Throws `std::invalid_argument`, with a message for the user.
[[nodiscard]] options parse_options(std::span<char*> arguments);

} // namespace file_tail
