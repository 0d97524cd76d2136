#include <eddy/detail/stream_core.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <system_error>
#include <utility>

#include <eddy/detail/task_context.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {
namespace {

std::system_error io_error(int error, const char* doing, const std::string& name) {
    return std::system_error(error, std::generic_category(), std::string(doing) + " " + name);
}

} // namespace

// --- incoming

incoming_operation::incoming_operation(stream_core& core, io_opcode o) noexcept : core_(core) {
    opcode = o;
    complete = &completed;
}
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
    if (opcode == io_opcode::read && result == 0 && error == 0) error = core_->lost_;
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

void incoming_operation::throw_error(const char* doing) const {
    if (closed_) throw closed_resource(std::string(doing) + " " + core_->name() + ": it was closed on our side");
    throw io_error(error, doing, core_->name());
}

std::exception_ptr incoming_operation::error_pointer(const char* doing) const noexcept {
    if (!closed_ && error == 0) return nullptr;
    try {
        throw_error(doing);
    } catch (...) {
        return std::current_exception();
    }
}

bool read_operation::try_now() const {
    if (!core_->is_open()) throw closed_resource("read from " + core_->name() + ": it was closed on our side");
    return length == 0; // read(0) is empty at once, also at the end
}

// --- outgoing

write_operation::write_operation(stream_core& core, std::span<const std::byte> bytes) noexcept : core_(core), bytes_(bytes) {
    opcode = io_opcode::write;
    complete = &completed;
}
write_operation::write_operation(stream_core& core) noexcept : write_operation(core, {}) {
    half_close_ = true;
}
write_operation::write_operation(write_operation&& o) noexcept
    : operation(std::move(o)), io_operation(static_cast<const io_operation&>(o)), core_(std::move(o.core_)), bytes_(o.bytes_),
      half_close_(o.half_close_), is_turn_(o.is_turn_) {}

bool write_operation::try_now() const {
    if (!core_->is_open()) throw closed_resource("write to " + core_->name() + ": it was closed on our side");
    if (half_close_) return core_->write_shut_ && core_->writers_.empty(); // twice does no harm
    if (core_->write_shut_) throw std::logic_error("write to " + core_->name() + " after shutdown_write");
    return bytes_.empty() && !core_->write_broken_ && !is_turn_;
}

bool write_operation::start() {
    core_->attach(task());
    is_socket = core_->is_socket_;
    const bool over = core_->writers_.empty() && drive();
    if (!over || held_) core_->writers_.push_back(*this);
    return over;
}

bool write_operation::advance() noexcept {
    if (error != 0) {
        if (error != EPIPE) core_->lost_ = error; // EPIPE: the peer had closed in order before
        return true;
    }
    written_ += static_cast<std::size_t>(result);
    return written_ == bytes_.size();
}

bool write_operation::drive() {
    if (core_->write_broken_) {
        broken_ = true;
        return true;
    }
    if (core_->write_shut_ && !half_close_) { // it was queued behind the shutdown
        too_late_ = true;
        return true;
    }
    if (half_close_) {
        core_->write_shut_ = true;
        if (::shutdown(core_->fd_, SHUT_WR) != 0) error = errno == ENOTCONN ? 0 : errno;
        return true;
    }
    if (is_turn_) {
        driven_ = held_ = true;
        return true;
    }
    for (;;) {
        const std::span<const std::byte> rest = bytes_.subspan(written_);
        buffer = const_cast<std::byte*>(rest.data()); // only read from
        length = rest.size();
        driven_ = true;
        if (!core_->engine_->start(*core_->descriptor_, *this)) return false;
        if (advance()) return true;
    }
}

void write_operation::completed(io_operation& op) noexcept {
    auto& self = static_cast<write_operation&>(op);
    if (!self.advance()) {
        try {
            if (!self.drive()) return;
        } catch (...) {
            self.error = ENOMEM;
        }
    }
    stream_core& core = *self.core_;
    core.writers_.erase(self);
    self.finish();
    core.write_next();
}

bool write_operation::abort() noexcept {
    const bool active = core_->writers_.front() == this;
    if (active && !core_->engine_->cancel(*core_->descriptor_, *this)) return false;
    core_->writers_.erase(*this);
    if (active) {
        if (written_ > 0) core_->write_broken_ = true;
        task().loop().make_ready(core_->next_writer_);
    }
    return true;
}

void write_operation::take() const {
    if (closed_) throw closed_resource("write to " + core_->name() + ": it was closed on our side");
    if (broken_) throw broken_resource("write to " + core_->name() + ": an earlier write was cancelled half-way");
    if (too_late_) throw std::logic_error("write to " + core_->name() + " after shutdown_write");
    if (error != 0) throw io_error(error, half_close_ ? "shutdown of" : "write to", core_->name());
}

// --- a turn

void write_operation::leave(bool broken) noexcept {
    if (!std::exchange(held_, false)) return;
    core_->writers_.erase(*this);
    if (broken) core_->write_broken_ = true;
    task().loop().make_ready(core_->next_writer_); // in its own turn, as after `abort`
}

void write_operation::wake() noexcept {
    if (turn_wait* const w = std::exchange(waiter_, nullptr)) w->finish();
}

bool turn_wait::start() {
    stream_core& core = *turn_->core_;
    turn_->opcode = io_opcode::wait_write;
    turn_->complete = &completed;
    if (core.engine_->start(*core.descriptor_, *turn_)) return true;
    turn_->waiter_ = this;
    return false;
}

bool turn_wait::abort() noexcept {
    stream_core& core = *turn_->core_;
    if (!core.engine_->cancel(*core.descriptor_, *turn_)) return false;
    turn_->waiter_ = nullptr;
    return true;
}

// An error of the wait is left to the write that comes after it.
void turn_wait::completed(io_operation& op) noexcept {
    auto& turn = static_cast<write_operation&>(op);
    turn.error = 0;
    turn.wake();
}

void write_turn::lost(int error) noexcept {
    entry_.core_->lost_ = error;
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

core_owner make_core(int fd, bool is_socket, std::string name) {
    try {
        return core_owner(core_ref(*new stream_core(fd, is_socket, std::move(name))));
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
    if (!is_open()) throw closed_resource(name_ + " was closed on our side");
    const std::shared_ptr<engine>& here = engine_of(t.loop());
    if (engine_ == here) [[likely]]
        return;
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
    const write_operation* const first = core.writers_.front();
    if (first && !first->driven_) core.write_next();
}

void stream_core::write_next() noexcept {
    while (write_operation* w = writers_.front()) {
        try {
            if (!w->drive()) return;
        } catch (...) {
            w->error = ENOMEM;
        }
        if (!w->held_) writers_.erase(*w);
        const bool keeps_its_place = w->held_;
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
        r->finish();
    }
    if (write_operation* active = writers_.front()) static_cast<void>(engine_->cancel(*descriptor_, *active));
    while (write_operation* w = writers_.pop_front()) {
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

void stream_core::close() noexcept {
    if (!is_open()) return;
    forget();
    ::close(std::exchange(fd_, -1));
}

void stream_core::abort() noexcept {
    if (!is_open()) return;
    const linger now{1, 0};
    if (is_socket_) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
}

int stream_core::detach() noexcept {
    forget();
    return std::exchange(fd_, -1);
}

} // namespace eddy::detail
