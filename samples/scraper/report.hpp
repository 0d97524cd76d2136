// What the user sees: messages, a progress line, the table at the end.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <eddy/loop_clock.hpp>
#include <eddy/task.hpp>

#include "statistics.hpp"

namespace scraper {

/// Writes to standard error. The progress line is there only on a terminal; messages do not mix with it.
class reporter {
public:
    reporter(const statistics& numbers, bool show_progress);

    /// Renews the progress line, until it is cancelled; then takes it away.
    [[nodiscard]] eddy::task<> progress();
    void tell(std::string_view message);
    void tell_interruption(std::size_t running, std::chrono::seconds grace);

    [[nodiscard]] std::chrono::duration<double> elapsed() const;

private:
    void clear_line();
    const statistics& numbers_;
    eddy::loop_clock::time_point start_ = eddy::loop_clock::now();
    bool show_progress_;
};

/// The table; its first line is "N pages in S s".
[[nodiscard]] std::string summary(statistics numbers, std::chrono::duration<double> elapsed,
                                  std::vector<std::chrono::microseconds> loop_lag);

} // namespace scraper
