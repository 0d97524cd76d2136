// Pictures: PNG files, and making them smaller. Plain C++ that knows nothing of loops and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <vector>

namespace thumbnails {

/// A file that is no picture, or a damaged one, and stays so however often it is tried. `what()` does not name the file.
class bad_picture : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Samples are of 16 bits, proportional to light (not to what a screen is told), and multiplied by alpha: so they may be averaged.
struct picture {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t channels = 0; // grey, grey and alpha, RGB, RGB and alpha
    std::vector<std::uint16_t> samples;
};

/// Of any kind: palette, grey, of 1 to 16 bits, interlaced, with its gamma. Throws `bad_picture`.
[[nodiscard]] picture read_png(std::span<const unsigned char> file);
/// 8 bits a sample, sRGB.
[[nodiscard]] std::vector<unsigned char> write_png(const picture& p);

/// At most `width` wide, with the same proportions; each new pixel is the average of exactly the area that it covers. `after_row`
/// is called with the rows that are done and all of them; what it throws ends it.
[[nodiscard]] picture shrink(const picture& from, std::uint32_t width, const std::function<void(std::uint32_t, std::uint32_t)>& after_row);

} // namespace thumbnails
