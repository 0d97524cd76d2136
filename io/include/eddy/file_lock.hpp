// file_lock: an advisory lock on a file, held by an object. `file::lock` and `file::try_lock` (<eddy/file.hpp>) give it.
//
//     file f = co_await file::open("state", file::mode::read_write | file::mode::create);
//     file_lock held = co_await f.lock(lock_kind::exclusive);
//     …
//     held.unlock();                                       // or when it goes
#pragma once

#include <memory>

#include <eddy/shared_mutex.hpp> // lock_kind

namespace eddy {

namespace detail {
class file_handle;
}

/// Gives the lock back when it goes; closing the file does so too. Move-only. Keeps a file whose object has gone open until
/// then. A child process that was forked meanwhile and has not executed a program shares it. Loop thread only.
class [[nodiscard("the lock is given back when this object goes: keep it")]] file_lock {
public:
    file_lock() noexcept;
    file_lock(file_lock&&) noexcept;
    file_lock& operator=(file_lock&& o) noexcept;
    ~file_lock();

    /// Gives it back now. Twice does no harm. Does not wait for other tasks: where the file is being closed,
    /// that does it. A system call on this thread, which on a network file system may have to ask the server: `co_await` the file's
    /// `close` instead where that matters.
    void unlock() noexcept;
    /// False once it was given back or the file was closed.
    [[nodiscard]] bool owns_lock() const noexcept;

    explicit file_lock(std::shared_ptr<detail::file_handle> h) noexcept; // for the library

private:
    std::shared_ptr<detail::file_handle> handle_;
};

} // namespace eddy
