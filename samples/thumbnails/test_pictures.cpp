#include "test_pictures.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <utility>
#include <vector>

#include <png.h>

#include "files.hpp"

namespace thumbnails {

namespace {

struct kind {
    const char* name;
    std::uint32_t format;
    std::size_t channels;
    std::uint32_t colours; // of the palette
};
constexpr std::array<kind, 8> kinds{{{"rgb", PNG_FORMAT_RGB, 3, 0},
                                     {"rgba", PNG_FORMAT_RGBA, 4, 0},
                                     {"grey", PNG_FORMAT_GRAY, 1, 0},
                                     {"grey-alpha", PNG_FORMAT_GA, 2, 0},
                                     {"palette", PNG_FORMAT_RGBA_COLORMAP, 1, 200},
                                     {"two-colours", PNG_FORMAT_RGB_COLORMAP, 1, 2},
                                     {"rgb-16", PNG_FORMAT_LINEAR_RGB, 3, 0},
                                     {"rgba-16", PNG_FORMAT_LINEAR_RGB_ALPHA, 4, 0}}};

/// What is to be seen: slopes, rings and a little noise. Integers, so that it is the same everywhere.
class scene {
public:
    scene(std::size_t number, std::uint32_t width, std::uint32_t height) : width_(width), height_(height), noise_(static_cast<std::uint32_t>(number) * 2654435761U + 1) {}
    /// 0 to 65535, for the channels of a pixel in turn. No colour is stronger than its alpha, which comes last.
    [[nodiscard]] std::uint32_t sample(std::uint32_t x, std::uint32_t y, std::size_t channel, std::size_t channels) {
        const std::uint32_t alpha = channels % 2 == 0 ? 65535 - 65535 / height_ * y : 65535;
        if (channels % 2 == 0 && channel + 1 == channels) return alpha;
        noise_ = noise_ * 1664525U + 1013904223U;
        const std::uint32_t across = 2 * x > width_ ? 2 * x - width_ : width_ - 2 * x;
        const std::uint32_t down = 2 * y > height_ ? 2 * y - height_ : height_ - 2 * y;
        const std::uint32_t ring = ((across * across + down * down) >> 10) & 31;
        const std::uint32_t slope = channel == 0 ? x * 40000 / width_ : channel == 1 ? y * 40000 / height_ : 40000 - x * 40000 / width_;
        return static_cast<std::uint32_t>(std::uint64_t{slope + ring * 700 + (noise_ >> 20)} * alpha / 65535);
    }

private:
    std::uint32_t width_, height_, noise_;
};

std::vector<std::uint8_t> palette_of(const kind& k) {
    std::vector<std::uint8_t> colours;
    const bool alpha = (k.format & PNG_FORMAT_FLAG_ALPHA) != 0;
    for (std::uint32_t i = 0; i < k.colours; ++i) {
        const std::uint32_t level = i * 255 / (k.colours - 1);
        for (const std::uint32_t v : {level, 255 - level, (level * 7) & 255U}) colours.push_back(static_cast<std::uint8_t>(v));
        if (alpha) colours.push_back(static_cast<std::uint8_t>(i < 8 ? 32 * i : 255));
    }
    return colours;
}

/// One byte of each sample or, of the linear kinds, two.
template <class Sample>
std::vector<Sample> paint(const kind& k, std::size_t number, std::uint32_t width, std::uint32_t height) {
    scene s(number, width, height);
    std::vector<Sample> samples;
    samples.reserve(std::size_t{width} * height * k.channels);
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            for (std::size_t c = 0; c < k.channels; ++c) {
                const std::uint32_t v = s.sample(x, y, c, k.channels);
                samples.push_back(static_cast<Sample>(k.colours != 0 ? v * k.colours / 65536 : v >> (16 - 8 * sizeof(Sample))));
            }
        }
    }
    return samples;
}

std::vector<unsigned char> encode(const kind& k, std::uint32_t width, std::uint32_t height, const void* samples) {
    const std::vector<std::uint8_t> palette = palette_of(k);
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = k.format;
    image.flags = PNG_IMAGE_FLAG_FAST;
    image.colormap_entries = k.colours;
    std::vector<unsigned char> file(std::size_t{width} * height * k.channels * 2 + height + (1 << 16));
    png_alloc_size_t size = file.size();
    if (png_image_write_to_memory(&image, file.data(), &size, 0, samples, 0, palette.empty() ? nullptr : palette.data()) == 0)
        throw std::runtime_error(std::string("the picture cannot be encoded: ") + image.message);
    file.resize(size);
    return file;
}

} // namespace

void make_test_pictures(const std::string& folder, std::size_t count, std::uint32_t size) {
    std::filesystem::create_directories(folder);
    for (std::size_t number = 0; number < count; ++number) {
        const kind& k = kinds[number % kinds.size()];
        std::uint32_t width = size - static_cast<std::uint32_t>(number % 5) * (size / 10);
        std::uint32_t height = width * 3 / 4;
        if (number % 3 == 2) std::swap(width, height);
        const bool wide = (k.format & PNG_FORMAT_FLAG_LINEAR) != 0;
        std::vector<unsigned char> file;
        if (wide) {
            file = encode(k, width, height, paint<std::uint16_t>(k, number, width, height).data());
        } else {
            file = encode(k, width, height, paint<std::uint8_t>(k, number, width, height).data());
        }
        std::array<char, 64> name{};
        std::snprintf(name.data(), name.size(), "%04zu-%s.png", number + 1, k.name);
        replace_file((std::filesystem::path(folder) / name.data()).string(), file);
    }
}

} // namespace thumbnails
