// Where names are looked up: that may take many seconds and cannot be ended, and nothing else is to wait for it.
#pragma once

namespace eddy {

class event_loop;
class worker_pool;

namespace detail {

/// The loop's own, besides `blocking_pool`: sixteen threads, started when needed. Loop thread.
[[nodiscard]] worker_pool& look_up_pool(event_loop& loop);

} // namespace detail
} // namespace eddy
