#include <eddy/detail/forks.hpp>

#include <pthread.h>

#include <atomic>
#include <stdexcept>

namespace eddy::detail {
namespace {

std::atomic<unsigned> forks{0};

} // namespace

unsigned fork_generation() noexcept {
    static const int registered = ::pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
    static_cast<void>(registered);
    return forks.load(std::memory_order_relaxed);
}

void throw_forked() {
    throw std::logic_error("this event_loop belongs to the process that forked this one; a child process makes its own");
}

} // namespace eddy::detail
