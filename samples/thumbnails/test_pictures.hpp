// Pictures to try it with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace thumbnails {

/// Writes so many pictures, at most `size` wide and high, into a folder, which is made: of all kinds that there are, in turn, and the
/// same ones each time. Throws `std::system_error`, `std::filesystem::filesystem_error`.
void make_test_pictures(const std::string& folder, std::size_t count, std::uint32_t size);

} // namespace thumbnails
