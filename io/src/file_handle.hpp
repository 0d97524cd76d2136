// An open file as the calls on workers see it. Shared by what is implemented on it: file, temp_file, send_file.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
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

/// A shared mutex that belongs to no thread: the loop takes it for a call that it gives to the ring, for several at a time, and
/// gives it back when the call is through. Who waits for it alone lets others in meanwhile.
class shared_gate {
public:
    void lock_shared() noexcept {
        while (!try_lock_shared()) state_.wait(alone);
    }
    [[nodiscard]] bool try_lock_shared() noexcept {
        for (int users = state_.load(std::memory_order_relaxed); users != alone;) {
            if (state_.compare_exchange_weak(users, users + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
        }
        return false;
    }
    void unlock_shared() noexcept {
        if (state_.fetch_sub(1, std::memory_order_acq_rel) == 1) state_.notify_all();
    }
    void lock() noexcept {
        for (int users = 0; !state_.compare_exchange_weak(users, alone, std::memory_order_acquire, std::memory_order_relaxed); users = 0) {
            if (users != 0) state_.wait(users);
        }
    }
    [[nodiscard]] bool try_lock() noexcept {
        int none = 0;
        return state_.compare_exchange_strong(none, alone, std::memory_order_acquire, std::memory_order_relaxed);
    }
    void unlock() noexcept {
        state_.store(0, std::memory_order_release);
        state_.notify_all();
    }

private:
    static constexpr int alone = -1;
    std::atomic<int> state_ = 0; // users, or `alone`
};

/// Regular files and block devices are plain; a pipe, a terminal or a socket is not.
enum class plainness : std::uint8_t { unknown, plain, special };

// Calls, on workers and in the ring, hold `access` shared, a close holds it alone: the number cannot be given to another file while a call
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
    plainness plain = plainness::unknown; // loop thread
    shared_gate access;

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

[[nodiscard]] inline closed_resource closed_by_another(const file_handle& h) {
    return closed_resource("the file '" + h.path() + "' was closed by another task");
}

/// A descriptor that stays open while this lives.
class open_number {
public:
    explicit open_number(file_handle& h) : lock_(h.access), fd_(h.fd()) {
        if (fd_ < 0) throw closed_by_another(h);
    }
    operator int() const noexcept { return fd_; }

private:
    std::shared_lock<shared_gate> lock_;
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
/// From the position to the end, of whatever kind it is.
[[nodiscard]] std::string read_rest_now(const handle_ptr& h);

/// A full buffer of `used` bytes grows so far: the file grows, or is one of /proc, which say no size.
[[nodiscard]] inline std::size_t grown(std::size_t used) noexcept {
    return used + std::max<std::size_t>(64 * 1024, used / 2);
}

} // namespace eddy::detail
