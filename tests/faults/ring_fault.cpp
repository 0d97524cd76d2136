// liburing's functions, in the place of its own. Not together with other sources (unity build), as fault.cpp.
#ifdef EDDY_HAVE_IO_URING

#include <liburing.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <optional>

#include "faults/shim.hpp"

namespace {

using fault::call;
using fault::error_for;

/// Completions that are to say something else than the kernel does, by what they carry.
class altered_completions {
public:
    void clear() noexcept {
        const std::scoped_lock lock(mutex_);
        all_ = {};
    }
    /// False if there are too many.
    bool add(std::uint64_t tag, int result) noexcept {
        const std::scoped_lock lock(mutex_);
        for (entry& e : all_) {
            if (e.result != 0) continue;
            e = {tag, result};
            return true;
        }
        return false;
    }
    /// 0: as the kernel says.
    [[nodiscard]] int take(std::uint64_t tag) noexcept {
        const std::scoped_lock lock(mutex_);
        for (entry& e : all_) {
            if (e.result == 0 || e.tag != tag) continue;
            const int result = e.result;
            e = {};
            return result;
        }
        return 0;
    }

private:
    struct entry {
        std::uint64_t tag = 0;
        int result = 0;
    };
    std::mutex mutex_;
    std::array<entry, 1024> all_{};
};

altered_completions altered;

std::optional<call> call_of(const io_uring_sqe& e) noexcept {
    switch (e.opcode) {
    case IORING_OP_ASYNC_CANCEL: return call::ring_cancel;
    case IORING_OP_CLOSE: return call::ring_close;
    case IORING_OP_FSYNC: return call::ring_sync;
    case IORING_OP_OPENAT: return call::ring_open;
    case IORING_OP_READ: return call::ring_read;
    case IORING_OP_STATX: return call::ring_stat;
    case IORING_OP_WRITE: return call::ring_write;
    default: return std::nullopt;
    }
}

/// Nothing happens, and a completion comes.
void make_idle(io_uring_sqe& e) noexcept {
    const std::uint64_t tag = e.user_data;
    const std::uint8_t flags = e.flags;
    e = {};
    e.opcode = IORING_OP_NOP;
    e.flags = flags;
    e.user_data = tag;
}

/// What an operation on its way to the kernel is to become.
void pass(io_uring_sqe& e) noexcept {
    const std::optional<call> c = call_of(e);
    if (!c) return;
    const int error = error_for(*c);
    if (error != 0 && altered.add(e.user_data, -error)) {
        if (c != call::ring_close) make_idle(e); // Linux frees the number even so
    } else if (c == call::ring_read || c == call::ring_write) {
        e.len = static_cast<std::uint32_t>(fault::shortened(e.fd, e.len));
    }
}

} // namespace

extern "C" {

int io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* p) noexcept(noexcept(::io_uring_queue_init_params(0, nullptr, nullptr))) {
    EDDY_REAL(io_uring_queue_init_params);
    altered.clear(); // what nobody has collected went with its ring
    const int error = error_for(call::ring_setup);
    return error != 0 ? -error : real(entries, ring, p);
}

io_uring_probe* io_uring_get_probe_ring(io_uring* ring) noexcept(noexcept(::io_uring_get_probe_ring(nullptr))) {
    EDDY_REAL(io_uring_get_probe_ring);
    return error_for(call::ring_probe) != 0 ? nullptr : real(ring);
}

int io_uring_ring_dontfork(io_uring* ring) noexcept(noexcept(::io_uring_ring_dontfork(nullptr))) {
    EDDY_REAL(io_uring_ring_dontfork);
    const int error = error_for(call::ring_dontfork);
    return error != 0 ? -error : real(ring);
}

// When it fails, the operations stand in the part of the ring that the kernel reads, and stay there, as with the real one.
int io_uring_submit(io_uring* ring) noexcept(noexcept(::io_uring_submit(nullptr))) {
    EDDY_REAL(io_uring_submit);
    io_uring_sq& q = ring->sq;
    for (unsigned i = q.sqe_head; i != q.sqe_tail; ++i) pass(q.sqes[i & *q.kring_mask]);
    q.sqe_head = q.sqe_tail;
    IO_URING_WRITE_ONCE(*q.ktail, q.sqe_tail);
    const int error = error_for(call::ring_submit);
    return error != 0 ? -error : real(ring);
}

unsigned io_uring_peek_batch_cqe(io_uring* ring, io_uring_cqe** all, unsigned count) noexcept(noexcept(::io_uring_peek_batch_cqe(nullptr, nullptr, 0))) {
    EDDY_REAL(io_uring_peek_batch_cqe);
    const unsigned n = real(ring, all, count);
    for (unsigned i = 0; i < n; ++i) {
        if (const int result = altered.take(all[i]->user_data); result != 0) all[i]->res = result;
    }
    return n;
}

} // extern "C"

#endif
