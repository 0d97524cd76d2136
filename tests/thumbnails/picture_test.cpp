#include "files.hpp"
#include "picture.hpp"
#include "test_pictures.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

#include "catch.hpp"

using namespace thumbnails;

namespace {

using samples16 = std::vector<std::uint16_t>;

picture picture_of(std::uint32_t width, std::uint32_t height, std::uint32_t channels, samples16 samples) {
    picture p;
    p.width = width;
    p.height = height;
    p.channels = channels;
    p.samples = std::move(samples);
    return p;
}
picture shrunk(const picture& p, std::uint32_t width) {
    return shrink(p, width, [](std::uint32_t, std::uint32_t) {});
}

/// Removed in the end.
class folder {
public:
    folder() { std::filesystem::create_directory(path); }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    ~folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    const std::string path = (std::filesystem::temp_directory_path() / ("eddy-thumbnails-" + std::to_string(::getpid()))).string();
};

} // namespace

TEST_CASE("a new pixel is the average of the area that it covers, also of parts of pixels") {
    CHECK(shrunk(picture_of(4, 2, 1, {0, 100, 40, 40, 200, 300, 40, 44}), 2).samples == samples16{150, 41});
    // Two of three: the pixel in the middle goes to both, by halves.
    CHECK(shrunk(picture_of(3, 1, 1, {30, 60, 90}), 2).samples == samples16{40, 80});
    CHECK(shrunk(picture_of(3, 3, 1, {0, 0, 0, 0, 900, 0, 0, 0, 0}), 2).samples == samples16{100, 100, 100, 100});
    // Channels do not mix.
    CHECK(shrunk(picture_of(2, 2, 3, {0, 10, 20, 2, 12, 22, 4, 14, 24, 6, 16, 26}), 1).samples == samples16{3, 13, 23});
    // What cannot be seen through alpha 0 has no say: samples are multiplied by alpha.
    CHECK(shrunk(picture_of(2, 1, 2, {0, 0, 60000, 65535}), 1).samples == samples16{30000, 32768});
}

TEST_CASE("white stays white, in whatever proportion it is made smaller") {
    const picture white = picture_of(97, 89, 4, samples16(std::size_t{97} * 89 * 4, 65535));
    for (std::uint32_t width = 1; width < 97; ++width) {
        const picture small = shrunk(white, width);
        REQUIRE(small.samples == samples16(std::size_t{small.width} * small.height * 4, 65535));
    }
}

TEST_CASE("the proportions stay, and nothing is made larger or vanishes") {
    const auto size = [](std::uint32_t width, std::uint32_t height, std::uint32_t to) {
        const picture small = shrunk(picture_of(width, height, 1, samples16(std::size_t{width} * height)), to);
        CHECK(small.samples.size() == std::size_t{small.width} * small.height);
        return std::to_string(small.width) + "x" + std::to_string(small.height);
    };
    CHECK(size(400, 300, 100) == "100x75");
    CHECK(size(300, 400, 100) == "100x133");
    CHECK(size(50, 40, 100) == "50x40");
    CHECK(size(1000, 1, 10) == "10x1");
    CHECK(size(1, 1, 1) == "1x1");
}

TEST_CASE("rows are counted, and what the listener throws ends it") {
    std::vector<std::uint32_t> rows;
    const picture p = picture_of(4, 4, 1, samples16(16));
    static_cast<void>(shrink(p, 2, [&](std::uint32_t done, std::uint32_t all) {
        rows.push_back(done);
        rows.push_back(all);
    }));
    CHECK(rows == std::vector<std::uint32_t>{1, 2, 2, 2});
    CHECK_THROWS_AS(shrink(p, 2, [](std::uint32_t, std::uint32_t) { throw std::runtime_error("enough"); }), std::runtime_error);
}

TEST_CASE("pictures of all kinds are read, written and read again") {
    const folder here;
    make_test_pictures(here.path, 8, 64);
    int pictures = 0;
    for (const auto& entry : std::filesystem::directory_iterator(here.path)) {
        INFO(entry.path().string());
        const picture p = read_png(read_file(entry.path().string()));
        REQUIRE(p.samples.size() == std::size_t{p.width} * p.height * p.channels);
        const bool alpha = entry.path().string().find("rgba") != std::string::npos || entry.path().string().find("alpha") != std::string::npos ||
                           entry.path().string().find("palette") != std::string::npos;
        CHECK((p.channels % 2 == 0) == alpha);
        const std::vector<unsigned char> eight_bits = write_png(p);
        const picture again = read_png(eight_bits);
        CHECK(again.channels == p.channels);
        CHECK(write_png(again) == eight_bits); // nothing more is lost
        ++pictures;
    }
    CHECK(pictures == 8);
}

TEST_CASE("what is no picture, or a part of one, is refused at whatever byte it ends") {
    CHECK_THROWS_AS(read_png({}), bad_picture);
    const std::string text = "no picture";
    CHECK_THROWS_AS(read_png(std::vector<unsigned char>(text.begin(), text.end())), bad_picture);
    std::vector<unsigned char> file = write_png(picture_of(5, 5, 3, samples16(75, 20000)));
    const std::size_t data_ends = file.size() - 12; // the rest is the end's own chunk
    for (std::size_t n = 0; n + 4 < data_ends; ++n) REQUIRE_THROWS_AS(read_png(std::span(file).first(n)), bad_picture);
    file[16] = 0x7f; // as wide as that
    CHECK_THROWS_AS(read_png(file), bad_picture);
}

TEST_CASE("a file is replaced whole, and nothing else is left") {
    const folder here;
    const std::string path = here.path + "/file";
    replace_file(path, std::vector<unsigned char>{1, 2, 3});
    replace_file(path, std::vector<unsigned char>{4});
    CHECK(read_file(path) == std::vector<unsigned char>{4});
    std::filesystem::create_directory(here.path + "/taken");
    CHECK_THROWS_AS(replace_file(here.path + "/taken", std::vector<unsigned char>{1}), std::system_error);
    CHECK_THROWS_AS(replace_file(here.path + "/no/such/folder", std::vector<unsigned char>{1}), std::system_error);
    CHECK_THROWS_AS(read_file(here.path), std::system_error);
    std::size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(here.path)) ++entries;
    CHECK(entries == 2);
}
