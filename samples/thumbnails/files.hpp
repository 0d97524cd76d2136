// Files, whole.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace thumbnails {

/// Both throw `std::system_error`.
[[nodiscard]] std::vector<unsigned char> read_file(const std::string& path);
/// At once or not at all: it is written under another name, which begins with a dot and is unique, and then renamed. What is left if
/// the process is killed in between has that name.
void replace_file(const std::string& path, std::span<const unsigned char> bytes);

} // namespace thumbnails
