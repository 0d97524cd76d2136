#include "allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#include <eddy/detail/scheduler.hpp>

namespace {

thread_local std::size_t calls = 0;
thread_local std::size_t last = 0;
thread_local std::size_t largest = 0;
thread_local long countdown = -1; // negative: nothing fails
std::atomic<long> blocks{0};      // of all threads: one may free what another has allocated

} // namespace

void* operator new(std::size_t n) {
    ++calls;
    last = n;
    if (n > largest) largest = n;
    if (countdown >= 0 && countdown-- == 0) throw std::bad_alloc();
    void* const p = std::malloc(n == 0 ? 1 : n);
    if (!p) throw std::bad_alloc();
    blocks.fetch_add(1, std::memory_order_relaxed);
    return p;
}
// The sanitizers' own version would not call ours.
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
    try {
        return operator new(n);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* p) noexcept {
    if (p) blocks.fetch_sub(1, std::memory_order_relaxed);
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    operator delete(p);
}

namespace allocations {

std::size_t count() noexcept {
    const eddy::detail::scheduler* const loop = eddy::detail::current().loop;
    return loop && loop->debug() ? 0 : calls;
}
long live() noexcept {
    return blocks.load(std::memory_order_relaxed);
}
std::size_t last_size() noexcept {
    return last;
}
largest_block::largest_block() noexcept {
    largest = 0;
}
std::size_t largest_block::bytes() const noexcept {
    return largest;
}
failing::failing(long n) noexcept {
    countdown = n;
}
failing::~failing() {
    countdown = -1;
}
bool failing::happened() const noexcept {
    return countdown < 0;
}

} // namespace allocations
