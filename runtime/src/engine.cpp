#include <eddy/detail/engine.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <system_error>
#include <unordered_map>

#include <eddy/detail/forks.hpp>
#include <eddy/errors.hpp>

namespace eddy::detail {

struct engine::borrowed {
    struct entry {
        io_descriptor* descriptor;
        int duplicate; // -1, or a second number for a file that is adopted elsewhere
        int flags;     // as its owner had set them; an engine may make it non-blocking
        std::array<bool, 2> used;
    };
    std::unordered_map<int, entry> by_number;
};

engine::engine() : forks_(fork_generation()), borrowed_(std::make_unique<borrowed>()) {}
engine::~engine() = default;

bool engine::forked() const noexcept {
    return forks_ != fork_generation();
}

io_descriptor& engine::borrow(int fd, bool outgoing) {
    const auto [it, is_new] = borrowed_->by_number.try_emplace(fd, borrowed::entry{nullptr, -1, ::fcntl(fd, F_GETFL), {}});
    borrowed::entry& e = it->second;
    if (e.used[outgoing])
        throw busy_resource("another task is already waiting for descriptor " + std::to_string(fd) + " to become " +
                            (outgoing ? "writable" : "readable"));
    if (is_new) {
        try {
            register_borrowed(fd, e.descriptor, e.duplicate);
        } catch (...) {
            borrowed_->by_number.erase(it);
            throw;
        }
    }
    e.used[outgoing] = true;
    return *e.descriptor;
}

void engine::register_borrowed(int fd, io_descriptor*& descriptor, int& duplicate) {
    try {
        descriptor = &adopt(fd);
        return;
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::file_exists) throw;
    }
    // One of our own streams has this descriptor. A duplicate is a registration of its own.
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) throw std::system_error(errno, std::generic_category(), "cannot watch descriptor " + std::to_string(fd));
    try {
        descriptor = &adopt(copy);
    } catch (...) {
        ::close(copy);
        throw;
    }
    duplicate = copy;
}

// An engine makes what it adopts non-blocking, for the system calls that it makes. For a borrowed descriptor it makes none,
// and the flag would be seen by everybody who shares the open file: a terminal, say, by whoever prints to it.
void engine::restore_flags(int fd) noexcept {
    const auto it = borrowed_->by_number.find(fd);
    if (it == borrowed_->by_number.end()) return;
    const int flags = it->second.flags;
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd, F_SETFL, flags);
}

void engine::give_back(int fd, bool outgoing) noexcept {
    const auto it = borrowed_->by_number.find(fd);
    if (it == borrowed_->by_number.end()) return;
    borrowed::entry& e = it->second;
    e.used[outgoing] = false;
    if (e.used[!outgoing]) return;
    release(*e.descriptor);
    restore_flags(fd);
    if (e.duplicate >= 0) ::close(e.duplicate);
    borrowed_->by_number.erase(it);
}

} // namespace eddy::detail
