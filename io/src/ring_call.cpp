#include "ring_call.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/task_context.hpp>

namespace eddy::detail {
namespace {

constexpr std::uint64_t largest_offset = std::numeric_limits<std::int64_t>::max(); // what is larger the kernel takes for the position

file_ring* ring_of(scheduler& s, ring_opcode o) noexcept {
    file_ring* const r = engine_of(s)->files();
    return r && r->supports(o) ? r : nullptr;
}

const char* what_fails(ring_opcode o) noexcept {
    switch (o) {
    case ring_opcode::open: return "cannot open";
    case ring_opcode::read: return "cannot read";
    case ring_opcode::write: return "cannot write";
    case ring_opcode::sync:
    case ring_opcode::datasync: return "cannot sync";
    case ring_opcode::stat: return "cannot stat";
    case ring_opcode::close: return "closing";
    }
    return "";
}

} // namespace

bool ring_call::possible(ring_opcode o) noexcept {
    scheduler* const s = current().loop;
    return s && ring_of(*s, o);
}

ring_call::ring_call(ring_opcode o, handle_ptr h) noexcept : handle_(std::move(h)) {
    opcode = o;
    complete = &completed;
}

// Before it is started: nobody but us has its address.
ring_call::ring_call(ring_call&& o) noexcept : leaf(std::move(o)), ring_operation(o), handle_(std::move(o.handle_)) {}

ring_call ring_call::open(handle_ptr h, int open_flags, unsigned permissions) noexcept {
    ring_call c(ring_opcode::open, std::move(h));
    c.buffer = const_cast<char*>(c.handle_->path().c_str()); // the handle keeps it in its place
    c.flags = open_flags;
    c.length = permissions;
    return c;
}
ring_call ring_call::read(handle_ptr h, std::span<std::byte> out, std::uint64_t at) noexcept {
    ring_call c(ring_opcode::read, std::move(h));
    c.buffer = out.data();
    c.length = out.size();
    c.offset = at;
    return c;
}
ring_call ring_call::write(handle_ptr h, std::span<const std::byte> bytes, std::uint64_t at) noexcept {
    ring_call c(ring_opcode::write, std::move(h));
    c.buffer = const_cast<std::byte*>(bytes.data()); // which the kernel reads
    c.length = bytes.size();
    c.offset = at;
    return c;
}
ring_call ring_call::stat(handle_ptr h, unsigned mask, struct statx& out) noexcept {
    ring_call c(ring_opcode::stat, std::move(h));
    c.buffer = &out;
    c.length = mask;
    return c;
}
ring_call ring_call::close(handle_ptr h, int number) noexcept {
    ring_call c(ring_opcode::close, std::move(h));
    c.fd = number;
    return c;
}

bool ring_call::start() {
    ring_ = ring_of(task().loop(), opcode);
    refused = !ring_;
    if (refused) return true;
    if (opcode != ring_opcode::open && opcode != ring_opcode::close) {
        holds_ = handle_->access.try_lock_shared(); // else it is being closed
        fd = holds_ ? handle_->fd() : -1;
        if (fd < 0) {
            let_go();
            throw closed_by_another(*handle_);
        }
    }
    if (opcode == ring_opcode::write && length == 0) { // no call at all, as on the pool
        let_go();
        return true;
    }
    const bool moves_position = (opcode == ring_opcode::read || opcode == ring_opcode::write) && offset == at_position;
    if (moves_position && handle_->plain == plainness::plain) began_at_ = ::lseek(fd, 0, SEEK_CUR);
    ring_->start(*this);
    return false;
}

bool ring_call::abort() noexcept {
    if (opcode == ring_opcode::close || !ring_->cancel(*this)) return false;
    let_go();
    return true;
}

void ring_call::completed(ring_operation& op) noexcept {
    auto& c = static_cast<ring_call&>(op);
    if (c.moves_on()) return;
    c.let_go();
    const bool undone = c.aborting() && (c.refused || c.result == -ECANCELED || (c.opcode == ring_opcode::write && c.length > 0 && c.error_ == 0));
    if (undone)
        c.finish_cancelled();
    else
        c.finish();
}

/// Notes what came of it. True if more is to be written, and goes on.
bool ring_call::moves_on() noexcept {
    if (refused) return false;
    if (result < 0) {
        error_ = result == -ECANCELED ? 0 : -result;
        return false;
    }
    if (opcode == ring_opcode::open) handle_->set(result);
    if (opcode != ring_opcode::read && opcode != ring_opcode::write) return false;
    const auto n = static_cast<std::size_t>(result);
    moved_ += n;
    if (n < length) correct_position();
    if (opcode == ring_opcode::read) return false;
    buffer = static_cast<std::byte*>(buffer) + n;
    length -= n;
    if (offset != at_position) offset += n;
    if (length == 0 || aborting()) return false;
    ring_->start(*this);
    return true;
}

// Where the kernel has moved a part and an error stops it, it tells of the part, and leaves the position where it was (Linux 6.18):
// what came next would be written over it, without an error.
void ring_call::correct_position() noexcept {
    if (began_at_ < 0) return;
    if (opcode == ring_opcode::write && (::fcntl(fd, F_GETFL) & O_APPEND) != 0)
        ::lseek(fd, 0, SEEK_END); // it was written there, wherever the position was
    else
        ::lseek(fd, static_cast<off_t>(began_at_) + static_cast<off_t>(moved_), SEEK_SET);
}

void ring_call::let_go() noexcept {
    if (std::exchange(holds_, false)) handle_->access.unlock_shared();
}

bool ring_call::take() const {
    if (refused) return false;
    if (error_ == 0 || (opcode == ring_opcode::close && error_ == EINTR)) return true; // Linux frees it even so
    errno = error_;
    fail(what_fails(opcode), handle_->path());
}

std::string_view ring_call::waits_for() const noexcept {
    switch (opcode) {
    case ring_opcode::open: return "file open";
    case ring_opcode::read: return "file read";
    case ring_opcode::write: return "file write";
    case ring_opcode::sync:
    case ring_opcode::datasync: return "file sync";
    case ring_opcode::stat: return "file status";
    case ring_opcode::close: return "file close";
    }
    return "file";
}

// --- which files

known_status status_at_once(int fd) noexcept {
#ifdef __linux__
    struct statx st {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &st) != 0) return {};
    return {.plain = S_ISREG(st.stx_mode) || S_ISBLK(st.stx_mode), .size = st.stx_size};
#else
    static_cast<void>(fd);
    return {};
#endif
}

bool by_ring(file_handle& h, ring_opcode o) noexcept {
    if (!ring_call::possible(o)) return false;
    if (h.plain == plainness::unknown) h.plain = status_at_once(h.fd()).plain ? plainness::plain : plainness::special;
    return h.plain == plainness::plain || o == ring_opcode::read;
}

bool by_ring(file_handle& h, ring_opcode o, std::uint64_t offset) noexcept {
    return offset <= largest_offset && by_ring(h, o) && h.plain == plainness::plain;
}

} // namespace eddy::detail
