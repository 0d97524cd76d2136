// A worker of a process_pool, seen from the program: its socket, its frames, its signals.
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "process_pool_core.hpp"

namespace eddy::detail {

pool_worker::pool_worker(std::uint32_t n, std::uint32_t s, unix_stream connection)
    : number(n), slot(s), socket(std::move(connection)), buffer_(sizeof(frame_header) + most_inline) {}

pool_worker::~pool_worker() {
    unmap();
}

void pool_worker::unmap() noexcept {
    if (mapped_) ::munmap(mapped_, mapped_size_);
    mapped_ = nullptr;
}

std::optional<incoming_frame> pool_worker::next_frame() {
    unmap();
    incoming_frame f;
    if (end_ - begin_ < sizeof f.header) return std::nullopt;
    std::memcpy(&f.header, buffer_.data() + begin_, sizeof f.header);
    if (f.header.in_memfd != 0) {
        begin_ += sizeof f.header;
        const unique_fd fd = passed_.empty() ? unique_fd() : std::move(passed_.front());
        if (!passed_.empty()) passed_.pop_front();
        void* const p = ::mmap(nullptr, f.header.size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
        if (p == MAP_FAILED) // EBADF: so many descriptors are open that the kernel could not hand it over
            throw std::system_error(errno == EBADF ? EMFILE : errno, std::generic_category(), "process_pool: a result of " + std::to_string(f.header.size) + " bytes");
        mapped_ = p;
        mapped_size_ = f.header.size;
        f.body = {static_cast<const std::byte*>(mapped_), mapped_size_};
        return f;
    }
    if (end_ - begin_ < sizeof f.header + f.header.size) return std::nullopt;
    f.body = std::span(buffer_).subspan(begin_ + sizeof f.header, f.header.size);
    begin_ += sizeof f.header + f.header.size;
    return f;
}

std::span<std::byte> pool_worker::room() {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_); // the beginning of a frame at most
    end_ -= begin_;
    begin_ = 0;
    return std::span(buffer_).subspan(end_);
}

void pool_worker::came(received_descriptors& got) {
    end_ += got.size;
    for (std::size_t i = 0; i < got.descriptors.size(); ++i) passed_.emplace_back(got.descriptors.take(i));
}

void pool_worker::signal(int which) const noexcept {
    if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), which, nullptr, 0); // it may have ended
}

} // namespace eddy::detail
