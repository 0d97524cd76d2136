#include "picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include <png.h>

namespace thumbnails {

namespace {

constexpr std::uint64_t most_pixels = std::uint64_t{64} << 20; // of a picture that is read: half a gigabyte

using samples16 = std::vector<std::uint16_t>;

/// libpng's simplified interface: errors come as return values, and its longjmp stays within C.
class png_control {
public:
    png_control() noexcept { image.version = PNG_IMAGE_VERSION; }
    png_control(const png_control&) = delete;
    png_control& operator=(const png_control&) = delete;
    ~png_control() { png_image_free(&image); }
    [[noreturn]] void fail() const { throw bad_picture(std::string("cannot be decoded: ") + image.message); }
    png_image image{};
};

std::uint32_t channels_of(std::uint32_t format) {
    return ((format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3U : 1U) + ((format & PNG_FORMAT_FLAG_ALPHA) != 0 ? 1U : 0U);
}
std::uint32_t linear_format(std::uint32_t channels) {
    return PNG_FORMAT_FLAG_LINEAR | (channels >= 3 ? PNG_FORMAT_FLAG_COLOR : 0U) | (channels % 2 == 0 ? PNG_FORMAT_FLAG_ALPHA : 0U);
}

/// What 8 bits of sRGB are as 16 bits of light. libpng would go by way of 8 bits of light, in which most of the dark levels are one.
std::array<std::uint16_t, 256> make_light_of() {
    std::array<std::uint16_t, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i) {
        const double v = static_cast<double>(i) / 255;
        table[i] = static_cast<std::uint16_t>(std::lround(65535 * (v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4))));
    }
    return table;
}
samples16 light_of(const std::vector<unsigned char>& srgb, std::uint32_t channels) {
    static const std::array<std::uint16_t, 256> table = make_light_of();
    samples16 light(srgb.size());
    const std::size_t colours = channels >= 3 ? 3 : 1;
    for (std::size_t at = 0; at < srgb.size(); at += channels) {
        const std::uint32_t alpha = colours < channels ? srgb[at + colours] : 255U;
        for (std::size_t i = 0; i < colours; ++i) light[at + i] = static_cast<std::uint16_t>((table[srgb[at + i]] * alpha + 127) / 255);
        if (colours < channels) light[at + colours] = static_cast<std::uint16_t>(257 * alpha);
    }
    return light;
}

/// Which old pixels a new one covers along one side, in units of which an old pixel has `new_size` and a new one `old_size`: so
/// all shares are whole numbers.
class coverage {
public:
    coverage(std::uint64_t old_size, std::uint64_t new_size, std::uint64_t at)
        : size_(new_size), begin_(at * old_size), end_(begin_ + old_size) {}
    [[nodiscard]] std::size_t first() const { return begin_ / size_; }
    [[nodiscard]] std::size_t last() const { return (end_ - 1) / size_; }
    [[nodiscard]] std::uint64_t share(std::uint64_t old) const { return std::min(end_, (old + 1) * size_) - std::max(begin_, old * size_); }

private:
    std::uint64_t size_, begin_, end_;
};

/// Adds `weight` times what the pixels of a row come to, made narrower.
void add_row(const std::uint16_t* row, std::uint32_t channels, const std::vector<coverage>& columns, std::uint64_t weight, std::vector<std::uint64_t>& sums) {
    for (std::size_t x = 0; x < columns.size(); ++x) {
        const coverage& c = columns[x];
        const std::size_t last = c.last();
        for (std::size_t old = c.first(); old <= last; ++old) {
            const std::uint64_t share = weight * c.share(old);
            for (std::size_t i = 0; i < channels; ++i) sums[x * channels + i] += share * row[old * channels + i];
        }
    }
}

} // namespace

picture read_png(std::span<const unsigned char> file) {
    if (file.empty()) throw bad_picture("is empty");
    png_control png;
    if (png_image_begin_read_from_memory(&png.image, file.data(), file.size()) == 0) png.fail();
    picture p;
    p.width = png.image.width;
    p.height = png.image.height;
    p.channels = channels_of(png.image.format);
    const std::uint64_t pixels = std::uint64_t{p.width} * p.height;
    if (pixels > most_pixels) throw bad_picture("is too large: " + std::to_string(p.width) + " x " + std::to_string(p.height));
    const bool wide = (png.image.format & PNG_FORMAT_FLAG_LINEAR) != 0; // 16 bits
    png.image.format = wide ? linear_format(p.channels) : linear_format(p.channels) & ~PNG_FORMAT_FLAG_LINEAR;
    const auto read_into = [&](void* samples) {
        if (png_image_finish_read(&png.image, nullptr, samples, 0, nullptr) == 0) png.fail();
    };
    if (wide) {
        p.samples.resize(pixels * p.channels);
        read_into(p.samples.data());
    } else {
        std::vector<unsigned char> srgb(pixels * p.channels);
        read_into(srgb.data());
        p.samples = light_of(srgb, p.channels);
    }
    return p;
}

std::vector<unsigned char> write_png(const picture& p) {
    std::vector<unsigned char> file(p.samples.size() + p.height + 1024); // what does not compress is hardly larger than that
    for (;;) {
        png_control png;
        png.image.width = p.width;
        png.image.height = p.height;
        png.image.format = linear_format(p.channels);
        png_alloc_size_t size = file.size();
        const bool written = png_image_write_to_memory(&png.image, file.data(), &size, 1, p.samples.data(), 0, nullptr) != 0;
        if (!written && size <= file.size()) throw std::runtime_error(std::string("cannot be encoded: ") + png.image.message);
        file.resize(size);
        if (written) return file;
    }
}

picture shrink(const picture& from, std::uint32_t width, const std::function<void(std::uint32_t, std::uint32_t)>& after_row) {
    picture to;
    to.width = std::min(width, from.width);
    to.height = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, (std::uint64_t{from.height} * to.width + from.width / 2) / from.width));
    to.channels = from.channels;
    to.samples.reserve(std::size_t{to.width} * to.height * to.channels);
    std::vector<coverage> columns;
    columns.reserve(to.width);
    for (std::uint32_t x = 0; x < to.width; ++x) columns.emplace_back(from.width, to.width, x);
    const std::uint64_t area = std::uint64_t{from.width} * from.height; // the shares of a new pixel come to this
    const std::size_t stride = std::size_t{from.width} * from.channels;
    std::vector<std::uint64_t> sums(std::size_t{to.width} * to.channels);
    for (std::uint32_t y = 0; y < to.height; ++y) {
        std::fill(sums.begin(), sums.end(), 0);
        const coverage rows(from.height, to.height, y);
        for (std::size_t old = rows.first(); old <= rows.last(); ++old)
            add_row(from.samples.data() + old * stride, from.channels, columns, rows.share(old), sums);
        for (const std::uint64_t sum : sums) to.samples.push_back(static_cast<std::uint16_t>((sum + area / 2) / area));
        after_row(y + 1, to.height);
    }
    return to;
}

} // namespace thumbnails
