// What the proxy tells in the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace port_proxy {

struct counters {
    std::size_t connections = 0;
    std::size_t at_once = 0;
    std::size_t most_at_once = 0;
    std::size_t refused = 0;     // bad SOCKS, wrong password, a command we do not have
    std::size_t unreachable = 0; // the target could not be connected to
    std::size_t idle = 0;        // ended by the idle timeout
    std::size_t broken = 0;      // ended by an error on either side
    std::size_t completed = 0;   // both sides had said all they had to say
    std::uint64_t bytes_up = 0;  // client to target
    std::uint64_t bytes_down = 0;
};

/// One connection, counted while it lasts.
class leaves_when_gone {
public:
    explicit leaves_when_gone(counters& c) noexcept : counters_(c) {
        ++c.connections;
        c.most_at_once = std::max(c.most_at_once, ++c.at_once);
    }
    leaves_when_gone(const leaves_when_gone&) = delete;
    leaves_when_gone& operator=(const leaves_when_gone&) = delete;
    ~leaves_when_gone() { --counters_.at_once; }

private:
    counters& counters_;
};

void print_summary(const counters& c);

} // namespace port_proxy
