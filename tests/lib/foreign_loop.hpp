// The smallest foreign loop: poll(2) on the one descriptor, until the deadline.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include <eddy/event_loop.hpp>

namespace foreign {

[[nodiscard]] inline bool readable(int fd) {
    pollfd p{fd, POLLIN, 0};
    return ::poll(&p, 1, 0) > 0;
}

struct counts {
    int sleeps = 0;
    int polls = 0;
};

/// Sleeps and polls until `done`. What should have come half a minute ago has been missed.
template <class Done>
counts drive_until(eddy::event_loop& loop, Done done, std::size_t ticks = 1000) {
    using namespace std::chrono;
    counts n;
    while (!done()) {
        const auto deadline = loop.next_deadline();
        int timeout = 30'000;
        if (deadline) {
            const auto left = ceil<milliseconds>(*deadline - loop.now()).count();
            timeout = static_cast<int>(std::clamp<long long>(left, 0, timeout));
        }
        pollfd p{loop.native_handle(), POLLIN, 0};
        if (timeout > 0) ++n.sleeps;
        const int got = ::poll(&p, 1, timeout);
        if (got == 0 && !deadline) throw std::runtime_error("the foreign loop slept for half a minute and nothing woke it");
        loop.poll(ticks);
        ++n.polls;
    }
    return n;
}

} // namespace foreign
