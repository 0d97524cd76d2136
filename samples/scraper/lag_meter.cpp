#include "lag_meter.hpp"

#include <eddy/loop_clock.hpp>
#include <eddy/sleep.hpp>

namespace scraper {

eddy::task<> lag_meter::run() {
    using std::chrono::microseconds;
    for (;;) {
        const auto due = eddy::loop_clock::now() + std::chrono::milliseconds(10);
        co_await eddy::sleep_until(due);
        samples_.push_back(std::chrono::duration_cast<microseconds>(eddy::loop_clock::now() - due));
    }
}

} // namespace scraper
