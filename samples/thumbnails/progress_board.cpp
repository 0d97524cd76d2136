#include "progress_board.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include <unistd.h>

namespace thumbnails {

progress_board::progress_board() : terminal_(::isatty(STDERR_FILENO) != 0) {}

progress_board::~progress_board() {
    clear();
}

void progress_board::start(std::string scale, std::size_t pictures) {
    scale_ = std::move(scale);
    parts_.assign(pictures, 0);
    finished_ = tenth_ = 0;
    if (!terminal_) std::fprintf(stderr, "%s: 0 of %zu\n", scale_.c_str(), pictures);
    draw(true);
}

void progress_board::part(std::size_t picture, double done) {
    parts_[picture] = done;
    draw(false);
}

void progress_board::finished(std::size_t picture) {
    parts_[picture] = 1;
    ++finished_;
    const std::size_t tenth = finished_ * 10 / parts_.size();
    if (!terminal_ && tenth != tenth_) std::fprintf(stderr, "%s: %zu of %zu\n", scale_.c_str(), finished_, parts_.size());
    tenth_ = tenth;
    draw(finished_ == parts_.size());
}

void progress_board::tell(std::string_view text) {
    clear();
    std::fprintf(stderr, "thumbnails: %.*s\n", static_cast<int>(text.size()), text.data());
}

void progress_board::draw(bool now) {
    if (!terminal_) return;
    const auto time = eddy::loop_clock::now();
    if (!now && time - drawn_ < std::chrono::milliseconds(50)) return;
    drawn_ = time;
    double sum = 0;
    for (const double part : parts_) sum += part;
    const auto in_work = std::count_if(parts_.begin(), parts_.end(), [](double part) { return part > 0 && part < 1; });
    std::fprintf(stderr, "\r\033[K%s: %zu of %zu, %td in work, %.0f %%", scale_.c_str(), finished_, parts_.size(), in_work, 100 * sum / static_cast<double>(parts_.size()));
    std::fflush(stderr);
    line_ = true;
}

void progress_board::clear() {
    if (std::exchange(line_, false)) std::fputs("\r\033[K", stderr);
}

} // namespace thumbnails
