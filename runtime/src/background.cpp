#include <eddy/background.hpp>

#include <algorithm>
#include <thread>

namespace eddy::detail {

// Twice as many as can run: one waits behind each, so that no worker has to wait for the loop.
std::size_t width_of(const worker_pool* pool) noexcept {
    const std::size_t threads = pool ? pool->max_threads() : std::thread::hardware_concurrency();
    return 2 * std::max<std::size_t>(threads, 1);
}

} // namespace eddy::detail
