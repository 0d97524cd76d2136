#include <eddy/borrowed_bytes.hpp>

#include <algorithm>
#include <new>
#include <utility>

#include <eddy/detail/frame.hpp>

namespace eddy {
namespace {

// As many as have been in use at once are kept, so that nothing is allocated as long as a thread goes on as it did: a thousand connections
// may each hold one while they write. How many that were is looked at every so many loans, and not with a clock: what was not needed in all
// that time goes by halves, until only those are left that stay in a second-level cache.
constexpr int few_buffers = 16;         // 256 KiB
constexpr int most_spare_buffers = 1024; // 16 MiB
constexpr int loans_between_looks = 8192;

struct spare_buffer {
    spare_buffer* next;
};

// Trivially destructible, so that it can be used until the thread's very end.
struct spare_buffers {
    spare_buffer* first; // the last one that was used: it is in the first-level cache
    int count;
    int unused; // the fewest there were since the last look: nobody has missed those
    int loans;  // since then
    int in_use; // of those that this thread has lent; one that ends on another thread is taken for one that is kept for ever
    int peak;   // the most that were in use at once since the last look
    int peak_before; // and before it
    bool registered;
    bool gone; // the thread ends: nothing is kept any more
};
thread_local constinit spare_buffers spares{nullptr, 0, 0, 0, 0, 0, 0, false, false};

void free_spares(int n) noexcept {
    for (; n > 0; --n) {
        spare_buffer* const b = spares.first;
        spares.first = b->next;
        --spares.count;
        ::operator delete(b);
    }
}

void let_some_go() noexcept {
    free_spares(std::min((spares.unused + 1) / 2, spares.count - few_buffers));
    spares.unused = spares.count;
    spares.loans = 0;
    spares.peak_before = std::exchange(spares.peak, spares.in_use);
}

/// A thread that only gets what others have lent needs no spares of its own.
bool has_enough() noexcept {
    return spares.count >= std::clamp(std::max(spares.peak, spares.peak_before), few_buffers, most_spare_buffers);
}

struct spares_owner {
    spares_owner() noexcept { spares.registered = true; }
    spares_owner(const spares_owner&) = delete;
    spares_owner& operator=(const spares_owner&) = delete;
    ~spares_owner() {
        spares.gone = true;
        free_spares(spares.count);
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
    if (++spares.loans == loans_between_looks) [[unlikely]]
        let_some_go();
    borrowed_bytes b;
    if (spare_buffer* const spare = spares.first) {
        spares.first = spare->next;
        spares.unused = std::min(spares.unused, --spares.count);
        b.start_ = reinterpret_cast<std::byte*>(spare);
    } else {
        b.start_ = static_cast<std::byte*>(::operator new(capacity));
    }
    spares.in_use = std::min(spares.in_use + 1, most_spare_buffers); // no more is of interest
    spares.peak = std::max(spares.peak, spares.in_use);
    return b;
}

[[gnu::noinline]] void borrowed_bytes::give_back(std::byte* start) noexcept {
    if (spares.in_use > 0) --spares.in_use;
    if (spares.gone || has_enough() || detail::frames_are_watched()) return ::operator delete(start);
    if (!spares.registered) [[unlikely]]
        register_owner();
    spares.first = ::new (static_cast<void*>(start)) spare_buffer{spares.first};
    ++spares.count;
}

} // namespace eddy
