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
constexpr int few_buffers = 16;          // 512 KiB
constexpr int most_spare_buffers = 1024; // 32 MiB
constexpr int loans_between_looks = 8192;

struct spare_buffer {
    spare_buffer* next;
};

// Trivially destructible, so that it can be used until the thread's very end.
struct spare_buffers {
    spare_buffer* first; // the last one that was used: it is in the first-level cache
    int count;
    int most; // that are kept: 0 before the thread has an owner for them, and after its end
    int unused; // the fewest there were since the last look: nobody has missed those
    int loans;  // until the next look
    int in_use; // of those that this thread has lent; one that ends on another thread is taken for one that is kept for ever
    int peak;   // the most that were in use at once since the last look
    int peak_before; // and before it
    bool gone; // the thread ends: nothing is kept any more
};
thread_local constinit spare_buffers spares{nullptr, 0, 0, 0, loans_between_looks, 0, 0, 0, false};

void free_spares(int n) noexcept {
    for (; n > 0; --n) {
        spare_buffer* const b = spares.first;
        spares.first = b->next;
        --spares.count;
        ::operator delete(b);
    }
}

/// A thread that only gets what others have lent needs no spares of its own.
void note_need() noexcept {
    spares.most = std::clamp(std::max(spares.peak, spares.peak_before), few_buffers, most_spare_buffers);
}

void let_some_go() noexcept {
    free_spares(std::min((spares.unused + 1) / 2, spares.count - few_buffers));
    spares.unused = spares.count;
    spares.loans = loans_between_looks;
    spares.peak_before = std::exchange(spares.peak, spares.in_use);
    if (spares.most > 0) note_need();
}

struct spares_owner {
    spares_owner() noexcept { note_need(); }
    spares_owner(const spares_owner&) = delete;
    spares_owner& operator=(const spares_owner&) = delete;
    ~spares_owner() {
        spares.gone = true;
        spares.most = 0;
        free_spares(spares.count);
    }
};

[[gnu::cold, gnu::noinline]] void register_owner() {
    if (detail::frames_are_watched()) return; // nothing is kept then
    thread_local spares_owner owner;
    static_cast<void>(owner);
}

[[gnu::noinline]] std::byte* make_buffer() {
    if (spares.most == 0 && !spares.gone) register_owner();
    return static_cast<std::byte*>(::operator new(borrowed_bytes::capacity));
}

[[gnu::cold, gnu::noinline]] void note_peak() noexcept {
    spares.in_use = std::min(spares.in_use, most_spare_buffers); // no more is of interest
    spares.peak = spares.in_use;
    if (spares.most > 0) note_need();
}

void keep(std::byte* start) noexcept {
    spares.first = ::new (static_cast<void*>(start)) spare_buffer{spares.first};
    ++spares.count;
}

/// There seems to be no place for it.
[[gnu::noinline]] void keep_if_first(std::byte* start) noexcept {
    if (spares.most == 0 && !spares.gone) register_owner();
    if (spares.most == 0 || spares.count >= spares.most) return ::operator delete(start);
    keep(start);
}

} // namespace

// Out of line, this and the next: they use the thread's own (trap T7).
[[gnu::noinline]] std::byte* borrowed_bytes::take_buffer() {
    if (--spares.loans == 0) [[unlikely]]
        let_some_go();
    spare_buffer* const spare = spares.first;
    std::byte* start = reinterpret_cast<std::byte*>(spare);
    if (spare) [[likely]] {
        spares.first = spare->next;
        if (--spares.count < spares.unused) spares.unused = spares.count;
    } else {
        start = make_buffer();
    }
    if (++spares.in_use > spares.peak) [[unlikely]]
        note_peak();
    return start;
}

[[gnu::noinline]] void borrowed_bytes::give_back(std::byte* start) noexcept {
    if (spares.in_use > 0) --spares.in_use;
    if (spares.count >= spares.most) [[unlikely]]
        return keep_if_first(start);
    keep(start);
}

} // namespace eddy
