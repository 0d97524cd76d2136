// How late the loop is: the time between when a timer was due and when its task ran. It grows when something holds the
// loop up, for instance work that belongs on the pool.
#pragma once

#include <chrono>
#include <vector>

#include <eddy/task.hpp>

namespace scraper {

class lag_meter {
public:
    /// Measures a hundred times a second, until it is cancelled.
    [[nodiscard]] eddy::task<> run();

    [[nodiscard]] const std::vector<std::chrono::microseconds>& samples() const noexcept { return samples_; }

private:
    std::vector<std::chrono::microseconds> samples_;
};

} // namespace scraper
