#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include <eddy/sleep.hpp>

namespace scraper {
namespace {

std::string human_bytes(std::uint64_t n) {
    if (n < 10'000) return fmt::format("{} B", n);
    if (n < 10'000'000) return fmt::format("{:.1f} kB", static_cast<double>(n) / 1e3);
    return fmt::format("{:.1f} MB", static_cast<double>(n) / 1e6);
}

std::string percentile_text(std::vector<std::chrono::microseconds>& samples, double p) {
    if (samples.empty()) return "none";
    return fmt::format("{:.1f} ms", static_cast<double>(percentile(samples, p).count()) / 1000);
}

double rate(std::size_t pages, std::chrono::duration<double> elapsed) {
    return static_cast<double>(pages) / std::max(elapsed.count(), 1e-3);
}

// A row of the table, if there is something to tell.
void count_row(std::string& table, std::string_view what, std::size_t n) {
    if (n > 0) table += fmt::format("  {:<32}{:>8}\n", what, n);
}

void text_row(std::string& table, std::string_view what, const std::string& text) {
    table += fmt::format("  {:<32}{:>8}\n", what, text);
}

} // namespace

reporter::reporter(const statistics& numbers, bool show_progress) : numbers_(numbers), show_progress_(show_progress) {}

std::chrono::duration<double> reporter::elapsed() const {
    return eddy::loop_clock::now() - start_;
}

eddy::task<> reporter::progress() {
    // Not a destructor's work but cleanup all the same: however this ends, the line is taken away.
    struct line_end {
        reporter& r;
        ~line_end() { r.clear_line(); }
    };
    const line_end at_end{*this};
    while (show_progress_) {
        const std::string line = fmt::format("{} pages, {} waiting, {} running, {:.0f}/s, {} errors", numbers_.pages,
                                             numbers_.unfinished - numbers_.running, numbers_.running,
                                             rate(numbers_.pages, elapsed()), numbers_.error_count());
        fmt::print(stderr, "\r\033[K{}", line);
        std::fflush(stderr);
        co_await eddy::sleep_for(std::chrono::milliseconds(100));
    }
}

void reporter::clear_line() {
    if (show_progress_) fmt::print(stderr, "\r\033[K");
}

void reporter::tell(std::string_view message) {
    clear_line();
    fmt::print(stderr, "scraper: {}\n", message);
}

void reporter::tell_interruption(std::size_t running, std::chrono::seconds grace) {
    tell(fmt::format("interrupted; finishing what is being fetched ({}), within {} s (again: end at once)", running,
                     grace.count()));
}

std::string summary(statistics n, std::chrono::duration<double> elapsed,
                    std::vector<std::chrono::microseconds> loop_lag) {
    std::string table = fmt::format("{} pages in {:.1f} s\n", n.pages, elapsed.count());
    text_row(table, "pages/s", fmt::format("{:.1f}", rate(n.pages, elapsed)));
    text_row(table, "bytes", human_bytes(n.bytes));
    text_row(table, "latency p50", percentile_text(n.latencies, 0.50));
    text_row(table, "latency p95", percentile_text(n.latencies, 0.95));
    text_row(table, "loop lag p99", percentile_text(loop_lag, 0.99));
    text_row(table, "loop lag max", percentile_text(loop_lag, 1.00));
    table += "pages by status\n";
    for (const auto& [status, count] : n.by_status) count_row(table, std::to_string(status), count);
    count_row(table, "no answer", n.unanswered);
    if (!n.errors.empty()) table += "errors by kind\n";
    for (const auto& [kind, count] : n.errors) count_row(table, kind, count);
    if (n.further_tries + n.disallowed + n.nofollow + n.elsewhere + n.dropped > 0) table += "besides\n";
    count_row(table, "further tries", n.further_tries);
    count_row(table, "pages robots.txt disallows", n.disallowed);
    count_row(table, "links marked nofollow", n.nofollow);
    count_row(table, "links to other hosts", n.elsewhere);
    count_row(table, "pages dropped when interrupted", n.dropped);
    return table;
}

} // namespace scraper
