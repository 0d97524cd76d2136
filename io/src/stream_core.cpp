#include <eddy/detail/stream_core.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <array>
#include <system_error>
#include <utility>

#include <eddy/detail/task_context.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

std::system_error io_error(int error, const char* doing, std::string_view name) {
    return std::system_error(error, std::generic_category(), std::string(doing) + " " + std::string(name));
}

namespace {

closed_resource closed_on_our_side(const char* doing, const stream_core& core) {
    return closed_resource(std::string(doing) + " " + core.name() + ": it was closed on our side");
}

} // namespace

// --- incoming

incoming_operation::incoming_operation(incoming_operation&& o) noexcept
    : operation(std::move(o)), io_operation(static_cast<const io_operation&>(o)), core_(std::move(o.core_)) {}

bool incoming_operation::start() {
    core_->attach(task());
    if (core_->reader_) throw busy_resource("another task is already reading from " + core_->name());
    is_socket = core_->is_socket_;
    if (core_->engine_->start(*core_->descriptor_, *this)) {
        note_end();
        return true;
    }
    core_->reader_ = this;
    return false;
}

// The kernel tells of a lost connection once, to whichever call comes first. If that was a write, reads get an end, as if
// the peer had closed: they have to fail instead.
void incoming_operation::note_end() noexcept {
    if ((opcode != io_opcode::read && opcode != io_opcode::receive_message) || result != 0 || error != 0) return;
    error = core_->lost_;
    core_->at_end_ = true;
}

void incoming_operation::leave() noexcept {
    if (core_->reader_ == this) core_->reader_ = nullptr;
}

bool incoming_operation::abort() noexcept {
    if (!core_->engine_->cancel(*core_->descriptor_, *this)) return false;
    core_->reader_ = nullptr;
    return true;
}

void incoming_operation::completed(io_operation& op) noexcept {
    auto& self = static_cast<incoming_operation&>(op);
    self.core_->reader_ = nullptr;
    self.note_end();
    self.finish();
}

void incoming_operation::throw_closed(const char* doing) const {
    throw closed_on_our_side(doing, *core_);
}
void incoming_operation::throw_error(const char* doing) const {
    std::rethrow_exception(error_pointer(doing));
}

// Made without being thrown: `as_result` is for those to whom a failure is nothing unusual.
std::exception_ptr incoming_operation::error_pointer(const char* doing) const noexcept {
    if (!closed_ && error == 0) return nullptr;
    try {
        return closed_ ? std::make_exception_ptr(closed_on_our_side(doing, *core_)) : std::make_exception_ptr(io_error(error, doing, core_->name()));
    } catch (const std::bad_alloc&) {
        return std::current_exception();
    }
}

bool read_operation::try_now() const {
    expect_open("read from");
    return length == 0; // read(0) is empty at once, also at the end
}

// --- outgoing

outgoing_operation::outgoing_operation(outgoing_operation&& o) noexcept
    : operation(std::move(o)), io_operation(static_cast<const io_operation&>(o)), core_(std::move(o.core_)) {}

bool outgoing_operation::start() {
    core_->attach(task());
    core_->wrote_ = true;
    is_socket = core_->is_socket_;
    const bool over = core_->writers_.empty() && drive_on();
    if (!over || held_) core_->writers_.push_back(*this);
    return over;
}

bool outgoing_operation::submit() {
    driven_ = true;
    return core_->engine_->start(*core_->descriptor_, *this);
}

void outgoing_operation::completed(io_operation& op) noexcept {
    auto& self = static_cast<outgoing_operation&>(op);
    if (self.advance())
        self.note_failure();
    else if (!self.drive_on())
        return;
    stream_core& core = *self.core_;
    core.writers_.erase(self);
    self.finish();
    core.write_next();
}

/// As `drive`, which throws for lack of memory alone.
bool outgoing_operation::drive_on() noexcept {
    try {
        if (!drive()) return false;
    } catch (...) {
        error = ENOMEM;
    }
    note_failure();
    return true;
}

// Nothing may follow half a message. To a peer that has gone nothing does, and the kernel has a better word for that.
void outgoing_operation::note_failure() noexcept {
    if (error != 0 && torn() && !is_lost_connection(error)) core_->torn_ = torn_write::failed;
}

bool outgoing_operation::abort() noexcept {
    const bool active = core_->writers_.front() == this;
    if (active && !core_->engine_->cancel(*core_->descriptor_, *this)) return false;
    core_->writers_.erase(*this);
    if (active) {
        if (torn()) core_->torn_ = torn_write::cancelled;
        task().loop().make_ready(core_->next_writer_);
    }
    return true;
}

void outgoing_operation::leave(torn_write how) noexcept {
    if (!std::exchange(held_, false)) return;
    core_->writers_.erase(*this);
    if (how != torn_write::none) core_->torn_ = how;
    task().loop().make_ready(core_->next_writer_); // in its own turn, as after `abort`
}

void outgoing_operation::throw_closed(const char* doing) const {
    throw closed_on_our_side(doing, *core_);
}

void outgoing_operation::throw_shut(const char* doing) const {
    throw std::logic_error(std::string(doing) + " " + core_->name() + " after shutdown_write");
}

bool outgoing_operation::refused(bool may_be_shut) noexcept {
    broken_ = core_->torn_;
    too_late_ = !core_->is_write_broken() && core_->write_shut_ && !may_be_shut; // it was queued behind the shutdown
    return core_->is_write_broken() || too_late_;
}

bool outgoing_operation::note_written(std::size_t& written, std::size_t all) noexcept {
    if (error != 0) {
        if (error != EPIPE && is_lost_connection(error)) core_->lost_ = error; // EPIPE: the peer had closed in order before
        return true;
    }
    written += static_cast<std::size_t>(result);
    return written == all;
}

std::exception_ptr outgoing_operation::error_pointer(const char* doing) const noexcept {
    try {
        if (closed_) return std::make_exception_ptr(closed_on_our_side(doing, *core_));
        if (broken_ != torn_write::none) return std::make_exception_ptr(broken_by(broken_, std::string(doing) + " " + core_->name()));
        if (too_late_) throw_shut(doing); // the caller's mistake
        return error != 0 ? std::make_exception_ptr(io_error(error, doing, core_->name())) : nullptr;
    } catch (const std::exception&) {
        return std::current_exception();
    }
}

void outgoing_operation::throw_failed(const char* doing) const {
    std::rethrow_exception(error_pointer(doing));
}

write_operation::write_operation(stream_core& core) noexcept : write_operation(core, {}) {
    half_close_ = true;
}
write_operation::write_operation(write_operation&& o) noexcept
    : outgoing_operation(std::move(o)), bytes_(o.bytes_), half_close_(o.half_close_) {}

// Most writes are one call that takes all of it, and need no engine and no queue.
bool write_operation::try_now() {
    stream_core& core = *core_;
    if (half_close_ || bytes_.empty() || !core.takes_bytes_now()) return try_unusual();
    core.attach(task());
    if (!core.descriptor_->asks_kernel()) return false;
    core.wrote_ = true;
    is_socket = true;
    buffer = const_cast<std::byte*>(bytes_.data()); // only read from
    length = bytes_.size();
    tried = !perform_send(core.fd_, *this);
    if (tried || !advance()) return false; // the rest
    note_failure();
    return true;
}

bool write_operation::try_unusual() {
    if (!core_->is_open()) throw_closed("write to");
    if (half_close_) return core_->write_shut_ && core_->writers_.empty(); // twice does no harm
    if (core_->write_shut_) throw_shut("write to");
    return bytes_.empty() && !core_->is_write_broken();
}

bool write_operation::advance() noexcept {
    return note_written(written_, bytes_.size());
}

bool write_operation::drive() {
    if (refused(half_close_)) return true;
    if (half_close_) {
        if (::shutdown(core_->fd_, SHUT_WR) != 0 && errno != ENOTCONN)
            error = errno; // nothing has ended: it may be tried again
        else
            core_->write_shut_ = true;
        return true;
    }
    for (;;) {
        const std::span<const std::byte> rest = bytes_.subspan(written_);
        buffer = const_cast<std::byte*>(rest.data()); // only read from
        length = rest.size();
        if (!submit()) return false;
        if (advance()) return true;
    }
}

// --- connect

connect_operation::connect_operation(stream_core& core, const void* address, std::size_t size) noexcept : core_(core) {
    opcode = io_opcode::connect;
    buffer = const_cast<void*>(address);
    length = size;
    is_socket = true;
    complete = &completed;
}
connect_operation::connect_operation(connect_operation&& o) noexcept
    : operation(std::move(o)), io_operation(static_cast<const io_operation&>(o)), core_(std::move(o.core_)) {}

bool connect_operation::start() {
    core_->attach(task());
    return core_->engine_->start(*core_->descriptor_, *this);
}
bool connect_operation::abort() noexcept {
    return core_->engine_->cancel(*core_->descriptor_, *this);
}
void connect_operation::completed(io_operation& op) noexcept {
    static_cast<connect_operation&>(op).finish();
}

// --- close

bool close_operation::try_now() {
    if (core_) core_->close();
    was_cancelled_ = task().cancel_pending();
    return !was_cancelled_;
}
bool close_operation::start() noexcept {
    task().make_ready();
    return false;
}
void close_operation::take() {
    if (was_cancelled_) task().throw_cancelled();
}

// --- the descriptor

core_pair make_core_pair(int first, int second, bool is_socket, std::string_view name) {
    const auto make_name = [name] { return std::string(name); };
    core_pair pair;
    try {
        pair.first = make_core(first, is_socket, make_name);
    } catch (...) {
        ::close(second);
        throw;
    }
    pair.second = make_core(second, is_socket, make_name);
    return pair;
}

core_owner adopt_core(int fd, bool is_socket, std::string name) {
    return core_owner(core_ref(*new stream_core(fd, is_socket, std::move(name)))); // only the allocation can fail
}

core_owner make_core(int fd, bool is_socket, std::string name) {
    try {
        return adopt_core(fd, is_socket, std::move(name));
    } catch (...) {
        ::close(fd);
        throw;
    }
}

void prepare_descriptor(int fd) {
    const int status = ::fcntl(fd, F_GETFL);
    const int flags = ::fcntl(fd, F_GETFD);
    if (status < 0 || flags < 0 || ::fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0 || ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        throw std::system_error(errno, std::generic_category(), "cannot adopt descriptor " + std::to_string(fd));
}

void stream_core::attach(task_context& t) {
    const std::shared_ptr<engine>& here = engine_of(t.loop());
    if (engine_ != here) [[unlikely]] // also of one that is closed, which has none
        attach_first(here);
}

void stream_core::attach_first(const std::shared_ptr<engine>& here) {
    if (!is_open()) throw closed_resource(name_ + " was closed on our side");
    if (engine_) throw std::logic_error(name_ + " belongs to another loop; use it on the loop that used it first");
    descriptor_ = &adopt_by(*here);
    engine_ = here;
}

// Somebody may be waiting for this very descriptor (wait_readable): a duplicate is a registration of its own.
io_descriptor& stream_core::adopt_by(engine& e) {
    try {
        return e.adopt(fd_);
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::file_exists) throw;
    }
    duplicate_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (duplicate_ < 0) throw io_error(errno, "cannot watch", name_);
    try {
        return e.adopt(duplicate_);
    } catch (...) {
        ::close(std::exchange(duplicate_, -1));
        throw;
    }
}

void stream_core::next_writer_node::run_it(ready_node& n) {
    stream_core& core = static_cast<next_writer_node&>(n).core;
    const outgoing_operation* const first = core.writers_.front();
    if (first && !first->driven_) core.write_next();
}

void stream_core::write_next() noexcept {
    while (outgoing_operation* w = writers_.front()) {
        if (!w->drive_on()) return;
        const bool keeps_its_place = w->held_;
        if (!keeps_its_place) writers_.erase(*w);
        w->finish();
        if (keeps_its_place) return;
    }
}

// Operations that wait end with closed_resource.
void stream_core::forget() noexcept {
    if (!engine_) return;
    if (incoming_operation* r = std::exchange(reader_, nullptr)) {
        static_cast<void>(engine_->cancel(*descriptor_, *r));
        r->closed_ = true;
        r->core_closed();
    }
    if (outgoing_operation* active = writers_.front()) static_cast<void>(engine_->cancel(*descriptor_, *active));
    while (outgoing_operation* w = writers_.pop_front()) {
        w->closed_ = true;
        if (std::exchange(w->held_, false))
            w->wake(); // it has completed already
        else
            w->finish();
    }
    engine_->release(*std::exchange(descriptor_, nullptr));
    if (duplicate_ >= 0) ::close(std::exchange(duplicate_, -1));
    engine_.reset();
}

void discard_received(int fd) noexcept {
    constexpr int most_calls = 64; // 1 MiB
    std::array<char, 16384> sink;  // TCP does not even write to it, MSG_TRUNC says; others ignore that
    for (int i = 0; fd >= 0 && i < most_calls; ++i) {
        const ssize_t n = ::recv(fd, sink.data(), sink.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (n == 0 || (n < 0 && errno != EINTR)) return;
    }
}

void stream_core::free_descriptor() noexcept {
    forget();
    const std::unique_ptr<close_hook> hook = std::move(on_close_);
    if (hook && !forked()) hook->closing();
    ::close(std::exchange(fd_, -1));
}

// Where TCP is closed with input that nobody has read, it resets the connection and drops what it had still to send (RFC 2525,
// 2.17). So the input is dropped first, which costs a system call: only the kernel knows whether there is some, since it may have
// come a moment ago. (In a forked child the input is the parent's, whose connection goes on.) It is saved where there can be none, behind an end that was read, and where nothing was written that could
// get lost; there the input is not touched either, since a duplicate of the descriptor may be with somebody who will read it. What
// comes after the close is answered with a reset as ever: nobody is there. And no more than 1 MiB is dropped.
void stream_core::close() noexcept {
    if (!is_open()) return;
    if (reset_by_unread_input_ && wrote_ && !at_end_ && !forked()) discard_received(fd_);
    free_descriptor();
}

void stream_core::abort() noexcept {
    if (!is_open()) return;
    const linger now{1, 0};
    if (is_socket_ && !forked()) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    free_descriptor();
}

int stream_core::detach() noexcept {
    forget();
    on_close_.reset();
    return std::exchange(fd_, -1);
}

} // namespace eddy::detail
