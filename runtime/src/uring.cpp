#include "uring.hpp"

#ifdef EDDY_HAVE_IO_URING

#include <fcntl.h>
#include <liburing.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include <eddy/detail/forks.hpp>

namespace eddy::detail {
namespace {

constexpr unsigned submission_entries = 64; // what is more than that goes in several calls
constexpr unsigned completion_entries = 512; // what is more than that the kernel keeps (IORING_FEAT_NODROP)
constexpr unsigned longest_transfer = 0x7ffff000; // as read(2) and write(2) have it
constexpr unsigned longest_at_once = 0x20000; // what is in memory the kernel copies during the call: on the loop's thread
constexpr unsigned fewest_threads = 16; // of the kernel's, for what blocks; as many as the blocking pool has
constexpr std::uintptr_t cancel_mark = 1; // in what a cancellation's completion carries

constexpr std::array<int, ring_opcode_count> kernels_opcodes{IORING_OP_OPENAT, IORING_OP_READ,  IORING_OP_WRITE, IORING_OP_FSYNC,
                                                             IORING_OP_FSYNC,  IORING_OP_STATX, IORING_OP_CLOSE};

/// An io_uring that is closed again.
class owned_ring {
public:
    owned_ring() noexcept = default;
    owned_ring(const owned_ring&) = delete;
    owned_ring& operator=(const owned_ring&) = delete;
    ~owned_ring() {
        if (made_) ::io_uring_queue_exit(&ring_);
    }
    /// 0 or an errno. COOP_TASKRUN (Linux 5.19): completions do not interrupt what the thread is doing. Not DEFER_TASKRUN: then
    /// nobody who waits for the ring's descriptor is woken.
    [[nodiscard]] int make() noexcept {
        int error = try_to_make(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
        if (error == EINVAL) error = try_to_make(0);
        if (error == 0 && ::io_uring_ring_dontfork(&ring_) != 0) return EINVAL;
        return error;
    }
    [[nodiscard]] bool has(unsigned feature) const noexcept { return (ring_.features & feature) != 0; }
    [[nodiscard]] io_uring* get() noexcept { return &ring_; }
    [[nodiscard]] const io_uring* get() const noexcept { return &ring_; }

private:
    int try_to_make(unsigned flags) noexcept {
        io_uring_params p{};
        p.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
        p.cq_entries = completion_entries;
        const int r = ::io_uring_queue_init_params(submission_entries, &ring_, &p);
        made_ = r == 0;
        return -r;
    }
    io_uring ring_{};
    bool made_ = false;
};

class kernel_ring final : public uring {
public:
    kernel_ring() noexcept : forks_(fork_generation()) {}
    /// Null, or why it cannot be.
    [[nodiscard]] const char* make() noexcept;

    [[nodiscard]] bool supports(ring_opcode o) const noexcept override { return known_[static_cast<std::size_t>(o)] && !forked(); }
    void start(ring_operation& op) noexcept override;
    [[nodiscard]] bool cancel(ring_operation& op) noexcept override;
    [[nodiscard]] std::size_t pending() const noexcept override { return forked() ? 0 : pending_; }
    [[nodiscard]] std::uint64_t submissions() const noexcept override { return submissions_; }
    void forgo(ring_opcode o) noexcept override { known_.reset(static_cast<std::size_t>(o)); }
    [[nodiscard]] int descriptor() const noexcept override { return ring_.get()->ring_fd; }
    [[nodiscard]] bool submit() noexcept override;
    [[nodiscard]] bool has_backlog() const noexcept override {
        return !forked() && (!to_start_.empty() || !to_cancel_.empty() || ::io_uring_sq_ready(ring_.get()) > 0);
    }
    [[nodiscard]] bool ready() const noexcept override;
    std::size_t collect() noexcept override;

private:
    using operations = intrusive_list<ring_operation, &ring_operation::link>;
    // A child process shares neither the ring's memory (MADV_DONTFORK) nor its operations.
    [[nodiscard]] bool forked() const noexcept { return forks_ != fork_generation(); }
    void allow_threads() noexcept;
    void fill() noexcept;
    void give_up() noexcept;
    void refuse(ring_operation& op) noexcept;
    void came(std::uintptr_t tag, int result) noexcept;
    void cancellation_came(ring_operation& op, int result) noexcept;
    void over(ring_operation& op) noexcept;

    owned_ring ring_;
    unsigned forks_;
    std::bitset<ring_opcode_count> known_;
    operations to_start_;
    operations to_cancel_; // which the kernel has
    std::size_t pending_ = 0;
    std::size_t refused_ = 0; // and not told by `collect` yet
    std::uint64_t submissions_ = 0;
};

// --- making

const char* kernel_ring::make() noexcept {
    if (const int error = ring_.make(); error != 0) return std::strerror(error);
    if (!ring_.has(IORING_FEAT_NODROP) || !ring_.has(IORING_FEAT_RW_CUR_POS)) return "this kernel's io_uring is too old";
    io_uring_probe* const probe = ::io_uring_get_probe_ring(ring_.get());
    if (!probe) return "this kernel's io_uring does not say what it can do";
    for (std::size_t i = 0; i < ring_opcode_count; ++i) known_[i] = ::io_uring_opcode_supported(probe, kernels_opcodes[i]) != 0;
    allow_threads();
    const bool cancels = ::io_uring_opcode_supported(probe, IORING_OP_ASYNC_CANCEL) != 0;
    ::io_uring_free_probe(probe);
    return cancels ? nullptr : "this kernel's io_uring cannot cancel";
}

// By default four a processor: on a small machine a few pipes that wait for their other ends would keep all else waiting.
void kernel_ring::allow_threads() noexcept {
    std::array<unsigned, 2> most{0, 0}; // of the kinds for files and for the rest; 0 only asks
    if (::io_uring_register_iowq_max_workers(ring_.get(), most.data()) != 0 || most[0] >= fewest_threads) return; // before Linux 5.15
    most = {fewest_threads, 0};
    static_cast<void>(::io_uring_register_iowq_max_workers(ring_.get(), most.data()));
}

// --- towards the kernel

void kernel_ring::start(ring_operation& op) noexcept {
    op.refused = op.cancel_wanted = false;
    ++pending_;
    to_start_.push_back(op);
}

bool kernel_ring::cancel(ring_operation& op) noexcept {
    if (!op.in_kernel || forked()) { // in a child process nothing will come; the parent's goes on
        if (operations::linked(op)) (op.in_kernel ? to_cancel_ : to_start_).erase(op);
        --pending_;
        return true;
    }
    op.cancel_wanted = true;
    to_cancel_.push_back(op);
    return false;
}

void prepare_cancel(io_uring_sqe& e, ring_operation& op) noexcept {
    ::io_uring_prep_cancel(&e, &op, 0);
    ::io_uring_sqe_set_data64(&e, reinterpret_cast<std::uintptr_t>(&op) | cancel_mark);
}

void prepare_operation(io_uring_sqe& e, ring_operation& op) noexcept {
    const auto length = static_cast<unsigned>(std::min<std::size_t>(op.length, longest_transfer));
    switch (op.opcode) {
    case ring_opcode::open:
        ::io_uring_prep_openat(&e, AT_FDCWD, static_cast<const char*>(op.buffer), op.flags, static_cast<mode_t>(op.length));
        // By a thread of the kernel's, which waits. Here the kernel would try with O_NONBLOCK first: then a pipe with a name
        // does not wait for its other end, but is found empty (or is ENXIO).
        ::io_uring_sqe_set_flags(&e, IOSQE_ASYNC);
        break;
    case ring_opcode::read: ::io_uring_prep_read(&e, op.fd, op.buffer, length, op.offset); break;
    case ring_opcode::write: ::io_uring_prep_write(&e, op.fd, op.buffer, length, op.offset); break;
    case ring_opcode::sync: ::io_uring_prep_fsync(&e, op.fd, 0); break;
    case ring_opcode::datasync: ::io_uring_prep_fsync(&e, op.fd, IORING_FSYNC_DATASYNC); break;
    case ring_opcode::stat:
        ::io_uring_prep_statx(&e, op.fd, "", AT_EMPTY_PATH, static_cast<unsigned>(op.length), static_cast<struct statx*>(op.buffer));
        break;
    case ring_opcode::close: ::io_uring_prep_close(&e, op.fd); break;
    }
    const bool moves = op.opcode == ring_opcode::read || op.opcode == ring_opcode::write;
    if (moves && length > longest_at_once) ::io_uring_sqe_set_flags(&e, IOSQE_ASYNC); // a thread of the kernel's copies it
    ::io_uring_sqe_set_data(&e, &op);
}

// As much as there is room for.
void kernel_ring::fill() noexcept {
    while (!to_cancel_.empty()) {
        io_uring_sqe* const e = ::io_uring_get_sqe(ring_.get());
        if (!e) return;
        ring_operation& op = *to_cancel_.pop_front();
        op.cancel_in_kernel = true;
        prepare_cancel(*e, op);
    }
    while (!to_start_.empty()) {
        io_uring_sqe* const e = ::io_uring_get_sqe(ring_.get());
        if (!e) return;
        ring_operation& op = *to_start_.pop_front();
        op.in_kernel = true;
        prepare_operation(*e, op);
    }
}

bool kernel_ring::submit() noexcept {
    if (forked()) return true;
    for (;;) {
        fill();
        if (::io_uring_sq_ready(ring_.get()) == 0) return true;
        ++submissions_;
        const int n = ::io_uring_submit(ring_.get());
        if (n > 0 || n == -EINTR) continue;
        // No memory for it, or too many completions that nobody has collected.
        if (n == 0 || n == -EAGAIN || n == -EBUSY || n == -ENOMEM) return false;
        give_up();
        return true;
    }
}

// The kernel will not have the ring any more: a filter that came later, a descriptor that somebody closed. What it has not
// got is done otherwise.
void kernel_ring::give_up() noexcept {
    known_.reset();
    io_uring_sq& q = ring_.get()->sq;
    const unsigned first = *q.khead;
    for (unsigned i = first; i != q.sqe_tail; ++i) {
        const auto tag = static_cast<std::uintptr_t>(q.sqes[i & *q.kring_mask].user_data);
        auto& op = *reinterpret_cast<ring_operation*>(tag & ~cancel_mark);
        if ((tag & cancel_mark) != 0)
            cancellation_came(op, -EALREADY);
        else
            refuse(op);
    }
    q.sqe_head = q.sqe_tail = first;
    IO_URING_WRITE_ONCE(*q.ktail, first);
    while (!to_cancel_.empty()) to_cancel_.pop_front();
    while (ring_operation* const op = to_start_.pop_front()) refuse(*op);
}

void kernel_ring::refuse(ring_operation& op) noexcept {
    op.in_kernel = false;
    op.refused = true;
    ++refused_;
    op.result = -ENOSYS;
    if (!op.cancel_in_kernel) over(op);
}

// --- from the kernel

bool kernel_ring::ready() const noexcept {
    const io_uring* const r = ring_.get();
    return !forked() && (::io_uring_cq_ready(r) > 0 || (IO_URING_READ_ONCE(*r->sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0);
}

std::size_t kernel_ring::collect() noexcept {
    if (forked()) return 0;
    std::size_t count = std::exchange(refused_, 0);
    std::array<io_uring_cqe*, submission_entries> some;
    while (const unsigned n = ::io_uring_peek_batch_cqe(ring_.get(), some.data(), static_cast<unsigned>(some.size()))) {
        for (unsigned i = 0; i < n; ++i) came(static_cast<std::uintptr_t>(some[i]->user_data), some[i]->res);
        ::io_uring_cq_advance(ring_.get(), n);
        count += n;
    }
    return count;
}

/// The kernel interrupts its own thread, and for an open what it says to itself then is what we get: ERESTARTSYS and its like.
int in_words_of_ours(int result) noexcept {
    return result <= -512 && result >= -516 ? -EINTR : result;
}

void kernel_ring::came(std::uintptr_t tag, int result) noexcept {
    auto& op = *reinterpret_cast<ring_operation*>(tag & ~cancel_mark);
    if ((tag & cancel_mark) != 0) return cancellation_came(op, result);
    op.in_kernel = false;
    op.result = in_words_of_ours(result);
    if (!op.cancel_in_kernel) over(op);
}

// Both completions are waited for: the kernel must not be left with the address of an operation that is gone. One that it did
// not find, and that is not over, was on its way from one place to another.
void kernel_ring::cancellation_came(ring_operation& op, int result) noexcept {
    op.cancel_in_kernel = false;
    if (!op.in_kernel)
        over(op);
    else if (result == -ENOENT)
        to_cancel_.push_back(op);
}

void kernel_ring::over(ring_operation& op) noexcept {
    if (operations::linked(op)) to_cancel_.erase(op);
    // Also the end of the thread that had started it cancels it. A close that is interrupted is done even so.
    const bool undone = op.result == -ECANCELED || (op.result == -EINTR && op.opcode != ring_opcode::close);
    if (undone && !op.cancel_wanted) return known_.none() ? refuse(op) : to_start_.push_back(op);
    if (undone) op.result = -ECANCELED;
    --pending_;
    op.complete(op);
}

bool forbidden_by_environment() noexcept {
    const char* const e = std::getenv("EDDY_IO_URING");
    return e && (std::strcmp(e, "off") == 0 || std::strcmp(e, "0") == 0);
}

} // namespace

std::unique_ptr<uring> make_uring(const char*& why) noexcept {
    why = "EDDY_IO_URING says so";
    if (forbidden_by_environment()) return nullptr;
    why = "no memory";
    std::unique_ptr<kernel_ring> made(new (std::nothrow) kernel_ring);
    if (!made) return nullptr;
    why = made->make();
    return why ? nullptr : std::move(made);
}

} // namespace eddy::detail

#else

namespace eddy::detail {

std::unique_ptr<uring> make_uring(const char*& why) noexcept {
    why = nullptr;
    return nullptr;
}

} // namespace eddy::detail

#endif
