#include "display.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include <fmt/format.h>

#include <eddy/loop_clock.hpp>
#include <eddy/sleep.hpp>

namespace download_manager {

using namespace std::chrono_literals;

void display::line(const job& j, std::string_view text) {
    erase();
    fmt::print("{}: {}\n", j.name, text);
    std::fflush(stdout);
    draw();
}

eddy::task<> display::run() {
    if (!terminal_) co_return;
    for (;;) {
        erase();
        draw();
        co_await eddy::sleep_for(100ms);
    }
}

void display::erase() {
    if (drawn_ > 0) fmt::print("\x1b[{}A\x1b[J", drawn_); // up, and clear all below
    drawn_ = 0;
}

void display::draw() {
    if (!terminal_) return;
    winsize size{};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const std::size_t columns = known ? size.ws_col : 80;
    for (const job& j : jobs_) {
        if (j.state != job::phase::running && j.state != job::phase::checking) continue;
        fmt::print("{}\n", bar(j).substr(0, columns - 1)); // a line that wraps could not be taken back
        ++drawn_;
    }
    std::fflush(stdout);
}

std::string display::bar(const job& j) {
    const std::string name = fmt::format("{:<24.24}", j.name);
    if (j.state == job::phase::checking) return name + " checking";
    const double seconds = std::chrono::duration<double>(eddy::loop_clock::now() - j.started).count();
    const double rate =
        seconds > 0 ? static_cast<double>(j.have - std::min(j.resumed_at, j.have)) / seconds / 1e6 : 0;
    if (!j.total) return fmt::format("{} {:>10} bytes {:8.2f} MB/s", name, j.have, rate);
    const double share = *j.total > 0 ? static_cast<double>(j.have) / static_cast<double>(*j.total) : 1;
    constexpr std::size_t width = 24;
    const auto full = static_cast<std::size_t>(share * width);
    return fmt::format("{} [{}{}] {:3.0f} % {:8.2f} MB/s", name, std::string(full, '#'),
                       std::string(width - full, '.'), share * 100, rate);
}

void print_summary(const std::vector<job>& jobs) {
    for (const job& j : jobs) {
        if (j.state == job::phase::done)
            fmt::print("{}  {}\n", j.digest, j.path);
        else if (j.state == job::phase::failed)
            fmt::print("failed  {}\n", j.path);
        else
            fmt::print("not finished  {}\n", j.path);
    }
    std::fflush(stdout);
}

} // namespace download_manager
