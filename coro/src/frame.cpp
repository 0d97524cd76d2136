#include <eddy/detail/frame.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <new>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EDDY_PLAIN_FRAMES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define EDDY_PLAIN_FRAMES 1
#endif
#endif

namespace eddy::detail {
namespace {

[[maybe_unused]] constexpr std::size_t granule = 32; // no frame is kept under a sanitizer
constexpr std::size_t classes = 65;       // frames up to 2 KiB are recycled
[[maybe_unused]] constexpr std::size_t kept_bytes = 512 * 1024; // of each size class and thread

struct free_block {
    free_block* next;
};

// One per thread. The counters are written by their thread only and summed up by tests.
struct frame_cache {
    std::array<free_block*, classes> free{};
    std::array<std::size_t, classes> held{};
    std::atomic<std::size_t> taken{0};
    std::atomic<std::size_t> given{0};
    std::size_t from_system = 0;
};

struct registry {
    std::mutex mutex;
    std::vector<frame_cache*> caches;
    std::size_t taken = 0; // by threads that have ended
    std::size_t given = 0;
};
registry& all_caches() {
    static registry* const r = new registry; // never destroyed: threads may outlive static destruction
    return *r;
}

void bump(std::atomic<std::size_t>& counter) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void release_all(frame_cache& c) noexcept {
    for (std::size_t i = 0; i < classes; ++i) {
        while (free_block* b = c.free[i]) {
            c.free[i] = b->next;
            ::operator delete(b);
        }
    }
}

struct cache_owner {
    frame_cache cache;
    cache_owner() {
        registry& r = all_caches();
        const std::lock_guard lock(r.mutex);
        r.caches.push_back(&cache);
    }
    cache_owner(const cache_owner&) = delete;
    cache_owner& operator=(const cache_owner&) = delete;
    ~cache_owner();
};

thread_local frame_cache* cache_pointer = nullptr; // trivially destructible: readable during thread exit
thread_local bool cache_gone = false;

cache_owner::~cache_owner() {
    registry& r = all_caches();
    {
        const std::lock_guard lock(r.mutex);
        std::erase(r.caches, &cache);
        r.taken += cache.taken.load(std::memory_order_relaxed);
        r.given += cache.given.load(std::memory_order_relaxed);
    }
    cache_pointer = nullptr;
    cache_gone = true;
    release_all(cache);
}

frame_cache* slow_cache() {
    if (cache_gone) return nullptr;
    thread_local cache_owner owner;
    cache_pointer = &owner.cache;
    return cache_pointer;
}

// After a thread's cache is gone (destructors of thread-locals), the registry counts directly.
void count_without_cache(bool taken) noexcept {
    registry& r = all_caches();
    const std::lock_guard lock(r.mutex);
    ++(taken ? r.taken : r.given);
}

} // namespace

[[gnu::noinline]] void* allocate_frame(std::size_t size) {
    frame_cache* c = cache_pointer;
    if (!c) [[unlikely]]
        c = slow_cache();
    if (!c) [[unlikely]] {
        void* p = ::operator new(size);
        count_without_cache(true);
        return p;
    }
#ifdef EDDY_PLAIN_FRAMES
    void* p = ::operator new(size);
    ++c->from_system;
#else
    const std::size_t k = (size + granule - 1) / granule;
    void* p = nullptr;
    if (k < classes && c->free[k]) [[likely]] {
        p = c->free[k];
        c->free[k] = c->free[k]->next;
        --c->held[k];
    } else {
        p = ::operator new(k < classes ? k * granule : size);
        ++c->from_system;
    }
#endif
    bump(c->taken);
    return p;
}

[[gnu::noinline]] void deallocate_frame(void* p, std::size_t size) noexcept {
    frame_cache* c = cache_pointer;
    if (!c) [[unlikely]] {
        if (!cache_gone) c = slow_cache();
        if (!c) {
            ::operator delete(p);
            count_without_cache(false);
            return;
        }
    }
    bump(c->given);
#ifndef EDDY_PLAIN_FRAMES
    const std::size_t k = (size + granule - 1) / granule;
    if (k < classes && c->held[k] * k * granule < kept_bytes) [[likely]] {
        auto* b = static_cast<free_block*>(p);
        b->next = c->free[k];
        c->free[k] = b;
        ++c->held[k];
        return;
    }
#else
    static_cast<void>(size);
#endif
    ::operator delete(p);
}

std::size_t live_frames() noexcept {
    registry& r = all_caches();
    const std::lock_guard lock(r.mutex);
    std::size_t taken = r.taken;
    std::size_t given = r.given;
    for (const frame_cache* c : r.caches) {
        taken += c->taken.load(std::memory_order_relaxed);
        given += c->given.load(std::memory_order_relaxed);
    }
    return taken - given;
}

bool frames_are_watched() noexcept {
#ifdef EDDY_PLAIN_FRAMES
    return true;
#else
    return false;
#endif
}

std::size_t frame_allocations() noexcept {
    const frame_cache* c = cache_pointer;
    return c ? c->from_system : 0;
}

} // namespace eddy::detail
