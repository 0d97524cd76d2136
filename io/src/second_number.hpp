// A descriptor under a number of its own, for calls on workers: its owner can close it meanwhile, and the old number then be given
// to something else.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace eddy::detail {

class second_number {
public:
    /// `doing`: what an error says. Throws `std::system_error`.
    second_number(int fd, const std::string& doing) : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {
        if (fd_ < 0) throw std::system_error(errno, std::generic_category(), doing);
    }
    second_number(const second_number&) = delete;
    second_number& operator=(const second_number&) = delete;
    ~second_number() { ::close(fd_); }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

} // namespace eddy::detail
