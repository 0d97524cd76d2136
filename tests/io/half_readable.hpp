// Memory of which the kernel gets the beginning alone: a write of all of it fails half-way (EFAULT), on any descriptor.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string_view>

namespace io_test {

class half_readable {
public:
    half_readable()
        : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))), readable_((300'000 / page_ + 1) * page_),
          start_(::mmap(nullptr, readable_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
        if (start_ == MAP_FAILED) throw std::runtime_error("no memory for a test");
        std::memset(start_, 'x', readable_);
        static_cast<void>(::mprotect(static_cast<std::byte*>(start_) + readable_, page_, PROT_NONE));
    }
    half_readable(const half_readable&) = delete;
    half_readable& operator=(const half_readable&) = delete;
    ~half_readable() { ::munmap(start_, readable_ + page_); }

    /// More than the kernel takes of a pipe or a Unix-domain socket at once.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {static_cast<const std::byte*>(start_), readable_ + page_};
    }
    [[nodiscard]] std::string_view readable() const noexcept { return {static_cast<const char*>(start_), readable_}; }

private:
    std::size_t page_;
    std::size_t readable_;
    void* start_;
};

} // namespace io_test
