#include "counters.hpp"

#include <cinttypes>
#include <cstdio>

namespace port_proxy {

void print_summary(const counters& c) {
    std::printf("connections %zu, at most %zu at once\n", c.connections, c.most_at_once);
    std::printf("completed %zu, broken %zu, idle %zu, unreachable %zu, refused %zu\n", c.completed, c.broken, c.idle,
                c.unreachable, c.refused);
    std::printf("bytes up %" PRIu64 ", down %" PRIu64 "\n", c.bytes_up, c.bytes_down);
    std::fflush(stdout);
}

} // namespace port_proxy
