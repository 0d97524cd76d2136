// Include once in a program: every heap block is counted, whoever asks for it.
#pragma once

#include <cstdlib>
#include <new>

#include "measure.hpp"

[[gnu::noinline]] void* operator new(std::size_t n) {
    ++bench::allocations;
    if (void* p = std::malloc(n)) return p;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
