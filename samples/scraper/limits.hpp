// What keeps the crawler polite: so many requests at a time, so many a second, and longer and longer pauses where
// something fails.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <string>

#include <eddy/loop_clock.hpp>
#include <eddy/semaphore.hpp>
#include <eddy/task.hpp>

namespace scraper {

/// Places for requests: some in all, some for each host.
class places {
public:
    places(int total, int per_host) : total_(total), per_host_(per_host) {}

    /// Held while a request runs.
    struct place {
        eddy::semaphore_permit at_host;
        eddy::semaphore_permit in_all;
    };
    /// First come, first served. The host's permit comes first: who waits for a busy host must not hold a place that a
    /// request to another host could have.
    [[nodiscard]] eddy::task<place> take(const std::string& host);

private:
    eddy::semaphore total_;
    int per_host_;
    std::map<std::string, eddy::semaphore> hosts_;
};

/// At most so many a second, evenly spaced; without a rate, no limit.
class pace {
public:
    explicit pace(std::optional<double> per_second);
    /// Waits for the caller's turn.
    [[nodiscard]] eddy::task<> turn();

private:
    eddy::loop_clock::duration distance_{0};
    eddy::loop_clock::time_point next_;
};

/// How long to wait before a further try: twice as long each time, up to half a minute. The last half of it is left to
/// chance, so that what failed together does not come back together.
class backoff {
public:
    explicit backoff(std::chrono::milliseconds first) : first_(first), random_(std::random_device{}()) {}
    /// `tries`: how many have failed. At least `asked_for`, within reason.
    [[nodiscard]] std::chrono::milliseconds delay(int tries, std::chrono::milliseconds asked_for = {});

private:
    std::chrono::milliseconds first_;
    std::mt19937 random_;
};

} // namespace scraper
