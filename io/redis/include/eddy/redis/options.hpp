// How redis::connect connects, and what a client counts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <eddy/retry.hpp>

namespace eddy {
class tls_context;
}

namespace eddy::redis {

/// All texts, and the context, are copied by the call that takes the options. A time of 0: no limit.
struct options {
    std::string_view user = {};     // over what the URL says; needs a password
    std::string_view password = {}; // over what the URL says
    int database = -1;              // over what the URL says; -1: the URL's, else 0
    std::string_view client_name = {}; // shown by CLIENT LIST
    std::chrono::nanoseconds connect_timeout = std::chrono::seconds(5); // look-up, connection, TLS, password and database together
    /// Of each command, from the await to its reply, waiting for a connection included: `timeout_error`. Not of blocking commands
    /// and subscriptions.
    std::chrono::nanoseconds timeout = std::chrono::seconds(30);
    /// Commands on their way, at most; those beyond wait for their turn. A pipeline counts as one.
    std::size_t max_pending = 4096;
    std::size_t max_reply = std::size_t{1} << 30; // bytes of one reply; beyond it the connection is closed
    std::size_t max_idle = 8;       // connections for blocking commands and sessions that are kept for later ones
    /// How a lost connection is replaced: `attempts` connections with pauses in between, the first at once. While that goes on,
    /// commands wait; when it has failed, those that wait fail, and the next command begins anew. Also how often, and with which
    /// pauses, a command is sent again that the server has refused because it is loading its data or without a master.
    /// `jitter`, `seed` and `total` count; `retry_if` does not.
    retry_policy reconnect = {.attempts = 10, .first_delay = std::chrono::milliseconds(50), .factor = 2.0,
                              .max_delay = std::chrono::seconds(2), .jitter = 0.2};
    /// For rediss://; none: the system's authorities. `tls_context::client(…)`.
    const tls_context* tls = nullptr;
};

static_assert(std::is_trivially_destructible_v<options>); // it is written into co_await expressions (trap T1)

/// What a client counts since it was made.
struct statistics {
    std::uint64_t commands = 0;   // sent; a pipeline's count each
    std::uint64_t replies = 0;    // that came, dropped ones included
    std::uint64_t dropped = 0;    // replies whose command was cancelled or timed out: read, and given to nobody
    std::uint64_t writes = 0;     // to the stream: commands of many tasks go together
    std::uint64_t reconnects = 0; // lost connections that were replaced
    std::size_t in_flight = 0;    // now: sent, not answered; pipelines count as one
    std::size_t waiting = 0;      // now: not sent yet
    std::size_t idle = 0;         // now: connections kept for blocking commands
    bool connected = false;       // now
};

} // namespace eddy::redis
