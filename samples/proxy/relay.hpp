// Bytes from one connection to another, both ways.
#pragma once

#include <chrono>

#include <eddy/task.hpp>
#include <eddy/tcp.hpp>

#include "counters.hpp"

namespace port_proxy {

/// Both directions at once, until both have ended. The first error ends both; nothing refers to the streams any more when it throws.
/// Throws `timeout_error` if nothing moved for `idle_timeout` (0: no limit). Counts the bytes.
eddy::task<> relay(eddy::tcp_stream& client, eddy::tcp_stream& server, std::chrono::nanoseconds idle_timeout, counters& numbers);

} // namespace port_proxy
