#include "process_worker_socket.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "descriptor_message.hpp"

namespace eddy::detail {

bool write_all(int fd, const void* data, std::size_t size) noexcept {
    auto rest = static_cast<const std::byte*>(data);
    while (size > 0) {
        const ssize_t n = ::write(fd, rest, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        rest += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

namespace {

/// The caller is gone, so there is nobody to work for.
[[noreturn]] void leave(int code) noexcept {
    std::fflush(nullptr);
    std::_Exit(code);
}

} // namespace

worker_socket::mapping::mapping(const unique_fd& fd, std::size_t size) : size_(size), data_(::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0)) {
    if (data_ == MAP_FAILED) {
        std::perror("eddy: a worker cannot map its arguments");
        leave(1);
    }
}
worker_socket::mapping::~mapping() {
    ::munmap(data_, size_);
}

worker_socket::frame worker_socket::receive() {
    mapped_.reset();
    frame f;
    fill(sizeof f.header);
    std::memcpy(&f.header, buffer_.data(), sizeof f.header);
    if (f.header.in_memfd != 0) {
        mapped_.emplace(passed_, f.header.size);
        passed_ = {};
        have_ = 0;
        f.body = mapped_->bytes();
    } else {
        fill(sizeof f.header + f.header.size);
        f.body = std::span(buffer_).subspan(sizeof f.header, f.header.size);
        have_ = 0; // a caller sends nothing before it has its answer
}
return f;
}

void worker_socket::fill(std::size_t wanted) {
    while (have_ < wanted) {
        const ssize_t n = receive_with_descriptor(fd_, std::span(buffer_).subspan(have_), passed_);
        if (n <= 0) leave(0);
        have_ += static_cast<std::size_t>(n);
    }
}

// --- what it says

void worker_socket::send(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes) {
    const std::lock_guard lock(sending_);
    send_in_turn(kind, call, bytes);
}

bool worker_socket::try_to_send(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes) {
    const std::unique_lock lock(sending_, std::try_to_lock);
    if (!lock) return false;
    pollfd p{fd_, POLLOUT, 0}; // three quarters of its buffer are free then: more than the longest frame
    if (::poll(&p, 1, 0) != 1) return false;
    send_in_turn(kind, call, bytes);
    return true;
}

void worker_socket::send_in_turn(frame_kind kind, std::uint32_t call, std::span<std::byte> bytes) {
    frame_header h{kind, 0, call, bytes.size() - sizeof(frame_header)};
    unique_fd large;
    if (h.size > most_inline) {
        large = unique_fd(::memfd_create("eddy-result", MFD_CLOEXEC));
        if (!large || !write_all(large.get(), bytes.data() + sizeof h, h.size))
            throw std::system_error(errno, std::generic_category(), "a result of " + std::to_string(h.size) + " bytes");
        h.in_memfd = 1;
        bytes = bytes.first(sizeof h);
    }
    std::memcpy(bytes.data(), &h, sizeof h);
    send_now(bytes, large.get());
}

void worker_socket::send_now(std::span<const std::byte> bytes, int fd) {
    while (!bytes.empty()) {
        const ssize_t n = send_with_descriptor(fd_, bytes, fd);
        if (n < 0) leave(0);
        fd = -1;
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

} // namespace eddy::detail
