// wait_readable, wait_writable: wait for a descriptor that somebody else reads and writes.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/operation.hpp>

namespace eddy {

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] readiness_operation final : public leaf<readiness_operation>, private io_operation {
public:
    readiness_operation(int fd, io_opcode o) noexcept : fd_(fd) {
        opcode = o;
        complete = &completed;
    }
    [[nodiscard]] bool try_now() const noexcept;
    bool start();
    bool abort() noexcept override;
    void take() const;
    [[nodiscard]] std::string_view waits_for() const noexcept override {
        return opcode == io_opcode::wait_read ? "descriptor to become readable" : "descriptor to become writable";
    }

private:
    static void completed(io_operation& op) noexcept;
    int fd_;
    std::shared_ptr<engine> engine_;
    io_descriptor* descriptor_ = nullptr;
};

} // namespace detail

/// Awaitable: until reading from `fd` would not block (data, end or error). One waiter a direction and descriptor: a second
/// one throws `busy_resource`. Regular files are always ready. Checkpoint; cancelled, nothing happened. Throws
/// `std::system_error` that names the descriptor if it cannot be watched. `fd` must stay open while the wait lasts; the
/// library neither reads nor closes it.
inline detail::readiness_operation wait_readable(int fd) noexcept {
    return {fd, detail::io_opcode::wait_read};
}
/// The same for writing.
inline detail::readiness_operation wait_writable(int fd) noexcept {
    return {fd, detail::io_opcode::wait_write};
}

} // namespace eddy
