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

constexpr std::size_t granule = 32;
constexpr std::size_t classes = 65;       // frames up to 2 KiB are recycled; none under a sanitizer
constexpr std::size_t kept_bytes = 512 * 1024; // of each size class and thread

struct free_block {
    free_block* next;
};

struct size_class {
    free_block* first = nullptr;
    std::size_t room = 0; // so many more are kept
};

// One per thread. The counters are written by their thread only and summed up by tests.
struct frame_cache {
    std::array<size_class, classes> free{};
    std::atomic<std::size_t> taken{0};
    std::atomic<std::size_t> given{0};
    std::size_t from_system = 0;

    frame_cache() noexcept {
        for (std::size_t k = 1; k < classes; ++k) free[k].room = kept_bytes / (k * granule);
    }
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
    for (size_class& k : c.free) {
        while (free_block* const b = k.first) {
            k.first = b->next;
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

// What is rare, out of the way of what is not: that needs no stack then.
[[gnu::noinline]] void* allocate_from_system(std::size_t size) {
    frame_cache* const c = cache_pointer ? cache_pointer : slow_cache();
    const bool recycled_later = c && size <= (classes - 1) * granule;
    void* const p = ::operator new(recycled_later ? (size + granule - 1) / granule * granule : size);
    if (!c) {
        count_without_cache(true);
        return p;
    }
    ++c->from_system;
    bump(c->taken);
    return p;
}

[[gnu::noinline]] void give_to_system(void* p) noexcept {
    frame_cache* const c = cache_pointer || cache_gone ? cache_pointer : slow_cache();
    if (c)
        bump(c->given);
    else
        count_without_cache(false);
    ::operator delete(p);
}

} // namespace

[[gnu::noinline]] void* allocate_frame(std::size_t size) {
#ifndef EDDY_PLAIN_FRAMES
    frame_cache* const c = cache_pointer;
    const std::size_t k = (size + granule - 1) / granule;
    if (c && k < classes) [[likely]] {
        size_class& kept = c->free[k];
        if (free_block* const b = kept.first) [[likely]] {
            kept.first = b->next;
            ++kept.room;
            bump(c->taken);
            return b;
        }
    }
#endif
    return allocate_from_system(size);
}

[[gnu::noinline]] void deallocate_frame(void* p, [[maybe_unused]] std::size_t size) noexcept {
#ifndef EDDY_PLAIN_FRAMES
    frame_cache* const c = cache_pointer;
    const std::size_t k = (size + granule - 1) / granule;
    if (c && k < classes && c->free[k].room > 0) [[likely]] {
        size_class& kept = c->free[k];
        kept.first = ::new (p) free_block{kept.first};
        --kept.room;
        bump(c->given);
        return;
    }
#endif
    give_to_system(p);
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
