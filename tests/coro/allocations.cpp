#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t calls = 0;
thread_local std::size_t last = 0;
thread_local long countdown = -1; // negative: nothing fails

} // namespace

void* operator new(std::size_t n) {
    ++calls;
    last = n;
    if (countdown >= 0 && countdown-- == 0) throw std::bad_alloc();
    if (void* p = std::malloc(n == 0 ? 1 : n)) return p;
    throw std::bad_alloc();
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
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}

namespace allocations {

std::size_t count() noexcept {
    return calls;
}
std::size_t last_size() noexcept {
    return last;
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
