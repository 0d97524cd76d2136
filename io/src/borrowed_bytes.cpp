#include <eddy/borrowed_bytes.hpp>

#include <new>

#include <eddy/detail/frame.hpp>

namespace eddy {
namespace {

constexpr int most_spare_buffers = 16; // 256 KiB, which stay in a second-level cache

struct spare_buffer {
    spare_buffer* next;
};

// Trivially destructible, so that it can be used until the thread's very end.
struct spare_buffers {
    spare_buffer* first;
    int count;
    bool registered;
    bool gone; // the thread ends: nothing is kept any more
};
thread_local constinit spare_buffers spares{nullptr, 0, false, false};

void free_spares() noexcept {
    while (spare_buffer* const b = spares.first) {
        spares.first = b->next;
        ::operator delete(b);
    }
    spares.count = 0;
}

struct spares_owner {
    spares_owner() noexcept { spares.registered = true; }
    spares_owner(const spares_owner&) = delete;
    spares_owner& operator=(const spares_owner&) = delete;
    ~spares_owner() {
        spares.gone = true;
        free_spares();
    }
};

void register_owner() {
    thread_local spares_owner owner;
    static_cast<void>(owner);
}

} // namespace

// Out of line, both: they use the thread's own (trap T7).
[[gnu::noinline]] borrowed_bytes borrowed_bytes::with_room() {
    if (!spares.registered) [[unlikely]]
        register_owner();
    borrowed_bytes b;
    if (spare_buffer* const spare = spares.first) {
        spares.first = spare->next;
        --spares.count;
        b.start_ = reinterpret_cast<std::byte*>(spare);
    } else {
        b.start_ = static_cast<std::byte*>(::operator new(capacity));
    }
    return b;
}

[[gnu::noinline]] void borrowed_bytes::give_back(std::byte* start) noexcept {
    if (spares.gone || spares.count == most_spare_buffers || detail::frames_are_watched()) return ::operator delete(start);
    if (!spares.registered) [[unlikely]]
        register_owner();
    spares.first = ::new (static_cast<void*>(start)) spare_buffer{spares.first};
    ++spares.count;
}

} // namespace eddy
