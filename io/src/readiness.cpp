#include <eddy/readiness.hpp>

#include <eddy/detail/task_context.hpp>

#include <poll.h>

#include <string>
#include <system_error>

namespace eddy::detail {

// Asks without the poller first, which costs one system call and no registration.
bool readiness_operation::try_now() const noexcept {
    pollfd p{fd_, static_cast<short>(opcode == io_opcode::wait_read ? POLLIN : POLLOUT), 0};
    return ::poll(&p, 1, 0) > 0 && (p.revents & POLLNVAL) == 0;
}

bool readiness_operation::start() {
    engine_ = engine_of(task().loop());
    try {
        descriptor_ = &engine_->borrow(fd_, is_outgoing(opcode));
    } catch (const std::system_error& e) {
        throw std::system_error(e.code(), "cannot wait for descriptor " + std::to_string(fd_));
    }
    bool finished = false;
    try {
        finished = engine_->start(*descriptor_, *this);
    } catch (...) {
        engine_->give_back(fd_, is_outgoing(opcode));
        throw;
    }
    engine_->restore_flags(fd_);
    if (!finished) return false;
    engine_->give_back(fd_, is_outgoing(opcode));
    return true;
}

bool readiness_operation::abort() noexcept {
    if (!engine_->cancel(*descriptor_, *this)) return false;
    engine_->give_back(fd_, is_outgoing(opcode));
    return true;
}

void readiness_operation::take() const {
    if (error != 0) throw std::system_error(error, std::generic_category(), "waiting for descriptor " + std::to_string(fd_));
}

void readiness_operation::completed(io_operation& op) noexcept {
    auto& self = static_cast<readiness_operation&>(op);
    self.engine_->give_back(self.fd_, is_outgoing(self.opcode));
    self.finish();
}

} // namespace eddy::detail
