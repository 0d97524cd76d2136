#include <eddy/detail/engine.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <unordered_map>

namespace eddy::detail {

struct engine::borrowed {
    struct entry {
        io_descriptor* descriptor;
        std::size_t users;
        int duplicate; // -1, or a second number for a file that is adopted elsewhere
    };
    std::unordered_map<int, entry> by_number;
};

engine::engine() : borrowed_(std::make_unique<borrowed>()) {}
engine::~engine() = default;

io_descriptor& engine::borrow(int fd) {
    if (const auto it = borrowed_->by_number.find(fd); it != borrowed_->by_number.end()) {
        ++it->second.users;
        return *it->second.descriptor;
    }
    io_descriptor* d = nullptr;
    int duplicate = -1;
    try {
        d = &adopt(fd);
    } catch (const std::system_error& e) {
        if (e.code() != std::errc::file_exists) throw;
        // One of our own streams has this descriptor. A duplicate is a registration of its own.
        duplicate = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (duplicate < 0)
            throw std::system_error(errno, std::generic_category(), "cannot watch descriptor " + std::to_string(fd));
        d = &adopt(duplicate);
    }
    borrowed_->by_number.emplace(fd, borrowed::entry{d, 1, duplicate});
    return *d;
}

void engine::give_back(int fd) noexcept {
    const auto it = borrowed_->by_number.find(fd);
    if (it == borrowed_->by_number.end() || --it->second.users > 0) return;
    release(*it->second.descriptor);
    if (it->second.duplicate >= 0) ::close(it->second.duplicate);
    borrowed_->by_number.erase(it);
}

} // namespace eddy::detail
