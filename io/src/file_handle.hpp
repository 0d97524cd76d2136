// An open file as the calls on workers see it. Shared by what is implemented on it: file, temp_file, send_file.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/worker_pool.hpp>

namespace eddy::detail {

[[noreturn]] inline void fail(const char* doing, const std::string& path) {
    const int error = errno;
    throw std::system_error(error, std::generic_category(), std::string(doing) + " '" + path + "'");
}

/// Repeats a system call that a signal interrupted.
template <class F>
auto uninterrupted(F f) {
    for (;;) {
        const auto r = f();
        if (r >= 0 || errno != EINTR) return r;
    }
}

// Calls on workers hold `access` shared, a close holds it alone: the number cannot be given to another file while a call
// uses it. A call that gets its worker after the close finds the file closed (R13).
class file_handle {
public:
    file_handle(int fd, std::string path) noexcept : fd_(fd), path_(std::move(path)) {}
    file_handle(const file_handle&) = delete;
    file_handle& operator=(const file_handle&) = delete;
    ~file_handle() {
        if (written && fd_ >= 0) note_dropped();
        if (fd_ < 0 || ::close(fd_) == 0 || errno == EINTR) return; // Linux frees it even so
        const int error = errno;
        if (event_loop* loop = event_loop::current()) {
            const std::string text = "closing '" + path_ + "'";
            loop->call_exception_handler(
                {.message = text, .exception = std::make_exception_ptr(std::system_error(error, std::generic_category(), text))});
        }
    }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    void set(int fd) noexcept { fd_ = fd; }
    [[nodiscard]] int take() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    bool busy = false;    // an operation uses the position; loop thread
    bool written = false; // loop thread
    bool locked = false;  // a file_lock holds it, or is about to; loop thread
    std::shared_mutex access;

private:
    // Debug mode: an error of the close is reported, but who wrote the file will not know of it.
    void note_dropped() const noexcept {
        const scheduler* const loop = current().loop;
        if (!loop || !loop->debug() || std::uncaught_exceptions() > 0) return;
        try {
            const std::string text = "the file '" + path_ + "' was written and dropped; co_await close(), which tells whether all is there";
            event_loop::current()->call_exception_handler({.message = text, .exception = nullptr});
        } catch (const std::bad_alloc&) { // a report less
        }
    }
    int fd_;
    std::string path_;
};

using handle_ptr = std::shared_ptr<file_handle>;

/// A descriptor that stays open while this lives.
class open_number {
public:
    explicit open_number(file_handle& h) : lock_(h.access), fd_(h.fd()) {
        if (fd_ < 0) throw closed_resource("the file '" + h.path() + "' was closed by another task");
    }
    operator int() const noexcept { return fd_; }

private:
    std::shared_lock<std::shared_mutex> lock_;
    int fd_;
};

/// The loop's pool for what blocks.
[[nodiscard]] inline worker_pool& pool() {
    return this_loop().blocking_pool();
}

// --- on workers; descriptors are close-on-exec

/// Digits that nobody can guess, for names.
[[nodiscard]] std::string random_digits();
[[nodiscard]] handle_ptr open_now(const std::string& path, int flags, unsigned permissions);
std::size_t write_now(const handle_ptr& h, std::span<const std::byte> bytes);
void sync_now(const handle_ptr& h);
void close_now(const handle_ptr& h);

} // namespace eddy::detail
