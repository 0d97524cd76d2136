#include "relay.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

#include <eddy/event_loop.hpp>
#include <eddy/gather.hpp>
#include <eddy/splice.hpp>
#include <eddy/timeout.hpp>

namespace port_proxy {

using namespace std::chrono_literals;

namespace {

// The deadline of a connection on which nothing moves: every transfer, either way, moves it on.
class idle_limit {
public:
    idle_limit(eddy::cancel_scope& scope, std::chrono::nanoseconds limit) : scope_(scope), limit_(limit) { touch(); }
    void touch() {
        if (scope_.expired()) return; // in the same tick: too late
        scope_.reschedule(limit_ == 0ns ? std::nullopt : std::optional(eddy::loop_clock::now() + limit_));
    }

private:
    eddy::cancel_scope& scope_;
    std::chrono::nanoseconds limit_;
};

// One direction, until its end, which is passed on as what it is: the end of one direction. (TCP calls it half-close: a
// client may have said all it has to say and still wait for the answer.) Nothing more is taken until what was is handed on, so
// a slow receiver slows the sender down.
eddy::task<> pump(eddy::tcp_stream& from, eddy::tcp_stream& to, idle_limit& idle, std::uint64_t& bytes) {
    eddy::splice_buffer between;
    while (const std::size_t n = co_await eddy::splice_some(from, to, between)) {
        idle.touch();
        bytes += n;
    }
    co_await to.shutdown_write();
}

} // namespace

// `gather` cancels the other pump and waits for it.
eddy::task<> relay(eddy::tcp_stream& client, eddy::tcp_stream& server, std::chrono::nanoseconds idle_timeout, counters& numbers) {
    const std::chrono::nanoseconds at_first = idle_timeout == 0ns ? std::chrono::nanoseconds::max() : idle_timeout;
    co_await eddy::with_timeout(at_first, [&](eddy::cancel_scope& scope) -> eddy::task<> {
        idle_limit idle(scope, idle_timeout);
        co_await eddy::gather(pump(client, server, idle, numbers.bytes_up), pump(server, client, idle, numbers.bytes_down));
    });
}

} // namespace port_proxy
