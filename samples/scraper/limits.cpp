#include "limits.hpp"

#include <algorithm>
#include <cmath>

#include <eddy/sleep.hpp>

namespace scraper {
namespace {

constexpr std::chrono::milliseconds longest_delay{30'000};

} // namespace

eddy::task<places::place> places::take(const std::string& host) {
    eddy::semaphore& limit = hosts_.try_emplace(host, per_host_).first->second;
    place taken;
    taken.at_host = co_await limit.acquire();
    taken.in_all = co_await total_.acquire(); // if it is cancelled here, unwinding gives the first permit back
    co_return taken;
}

pace::pace(std::optional<double> per_second) {
    if (per_second) distance_ = std::chrono::nanoseconds(std::llround(1e9 / *per_second));
}

eddy::task<> pace::turn() {
    if (distance_.count() == 0) co_return;
    const auto mine = std::max(next_, eddy::loop_clock::now());
    next_ = mine + distance_;
    co_await eddy::sleep_until(mine);
}

std::chrono::milliseconds backoff::delay(int tries, std::chrono::milliseconds asked_for) {
    auto full = first_;
    for (int i = 1; i < tries && full < longest_delay; ++i) full *= 2;
    full = std::min(full, longest_delay);
    std::uniform_int_distribution<std::chrono::milliseconds::rep> chance(full.count() / 2, full.count());
    return std::max(std::chrono::milliseconds(chance(random_)), std::min(asked_for, longest_delay));
}

} // namespace scraper
