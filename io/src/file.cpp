#include <eddy/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>
#include <eddy/stream.hpp>
#include <eddy/this_task.hpp>

namespace eddy {
namespace detail {
namespace {

[[noreturn]] void fail(const char* doing, const std::string& path) {
    throw std::system_error(errno, std::generic_category(), std::string(doing) + " '" + path + "'");
}

/// Repeats a system call that a signal interrupted.
template <class F>
auto uninterrupted(F f) {
    for (;;) {
        const auto r = f();
        if (r >= 0 || errno != EINTR) return r;
    }
}

} // namespace

// Calls on workers hold `access` shared, a close holds it alone: the number cannot be given to another file while a call
// uses it. A call that gets its worker after the close finds the file closed (R13).
class file_handle {
public:
    file_handle(int fd, std::string path) noexcept : fd_(fd), path_(std::move(path)) {}
    file_handle(const file_handle&) = delete;
    file_handle& operator=(const file_handle&) = delete;
    ~file_handle() {
        if (written && fd_ >= 0) note_dropped();
        if (fd_ < 0 || ::close(fd_) == 0) return;
        if (event_loop* loop = event_loop::current()) {
            const std::string text = "closing '" + path_ + "'";
            loop->call_exception_handler(
                {.message = text, .exception = std::make_exception_ptr(std::system_error(errno, std::generic_category(), text))});
        }
    }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] int take() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    bool busy = false;    // an operation uses the position; loop thread
    bool written = false; // loop thread
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

namespace {

using handle_ptr = std::shared_ptr<file_handle>;

/// Marks the position as used.
class position_lock {
public:
    explicit position_lock(file_handle& h) : handle_(h) {
        if (h.busy) throw busy_resource("another task is already using the position of '" + h.path() + "'; use read_at and write_at");
        h.busy = true;
    }
    position_lock(const position_lock&) = delete;
    position_lock& operator=(const position_lock&) = delete;
    ~position_lock() { handle_.busy = false; }

private:
    file_handle& handle_;
};

// --- on workers

int open_flags(file::mode m) {
    int flags = O_CLOEXEC;
    const bool reads = m & file::mode::read;
    const bool writes = (m & file::mode::write) || (m & file::mode::append);
    flags |= reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
    if (m & file::mode::create) flags |= O_CREAT;
    if (m & file::mode::truncate) flags |= O_TRUNC;
    if (m & file::mode::append) flags |= O_APPEND;
    if (m & file::mode::exclusive) flags |= O_EXCL;
    return flags;
}

handle_ptr open_now(const std::string& path, int flags, unsigned permissions) {
    const int fd = uninterrupted([&] { return ::open(path.c_str(), flags, permissions); });
    if (fd < 0) fail("cannot open", path);
    return std::make_shared<file_handle>(fd, path);
}

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

std::size_t read_now(const handle_ptr& h, std::span<std::byte> out) {
    const open_number fd(*h);
    const auto n = uninterrupted([&] { return ::read(fd, out.data(), out.size()); });
    if (n < 0) fail("cannot read", h->path());
    return static_cast<std::size_t>(n);
}

std::size_t read_at_now(const handle_ptr& h, std::uint64_t offset, std::span<std::byte> out) {
    const open_number fd(*h);
    const auto n = uninterrupted([&] { return ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset)); });
    if (n < 0) fail("cannot read", h->path());
    return static_cast<std::size_t>(n);
}

std::size_t write_now(const handle_ptr& h, std::span<const std::byte> bytes) {
    const open_number fd(*h);
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
        const auto n = uninterrupted([&] { return ::write(fd, rest.data(), rest.size()); });
        if (n < 0) fail("cannot write", h->path());
        rest = rest.subspan(static_cast<std::size_t>(n));
    }
    return bytes.size();
}

std::size_t write_at_now(const handle_ptr& h, std::uint64_t offset, std::span<const std::byte> bytes) {
    const open_number fd(*h);
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
        const auto n = uninterrupted([&] { return ::pwrite(fd, rest.data(), rest.size(), static_cast<off_t>(offset)); });
        if (n < 0) fail("cannot write", h->path());
        rest = rest.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return bytes.size();
}

void sync_now(const handle_ptr& h) {
    const open_number fd(*h);
    if (uninterrupted([&] { return ::fsync(fd); }) != 0) fail("cannot sync", h->path());
}

std::uint64_t size_now(const handle_ptr& h) {
    const open_number fd(*h);
    struct stat st {};
    if (::fstat(fd, &st) != 0) fail("cannot stat", h->path());
    return static_cast<std::uint64_t>(st.st_size);
}

void truncate_now(const handle_ptr& h, std::uint64_t size) {
    const open_number fd(*h);
    if (uninterrupted([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) != 0) fail("cannot truncate", h->path());
}

void close_now(const handle_ptr& h) {
    const std::unique_lock lock(h->access);
    const int fd = h->take();
    if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) fail("closing", h->path()); // Linux frees it even so
}

std::string read_all_now(const std::string& path) {
    const handle_ptr h = open_now(path, O_RDONLY | O_CLOEXEC, 0);
    std::string text;
    text.resize(static_cast<std::size_t>(size_now(h)) + 1); // one more byte finds the end
    std::size_t used = 0;
    for (;;) {
        const std::size_t n = read_now(h, std::as_writable_bytes(std::span(text).subspan(used)));
        if (n == 0) break;
        used += n;
        if (used == text.size()) text.resize(used + std::max<std::size_t>(64 * 1024, used / 2)); // it grows, or /proc
    }
    text.resize(used);
    return text;
}

void write_all_now(const std::string& path, std::span<const std::byte> bytes) {
    const handle_ptr h = open_now(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    write_now(h, bytes);
    close_now(h);
}

void write_text_now(const std::string& path, const std::string& text) {
    write_all_now(path, bytes_of(text));
}

worker_pool& pool() {
    return this_loop().blocking_pool();
}

} // namespace
} // namespace detail

using detail::file_handle;
using detail::pool;

file::file() noexcept = default;
file::file(file&&) noexcept = default;
file& file::operator=(file&&) noexcept = default;
file::~file() = default;
file::file(std::shared_ptr<file_handle> h) noexcept : handle_(std::move(h)) {}

std::shared_ptr<file_handle> file::handle() const {
    if (!is_open()) throw closed_resource(handle_ ? "the file '" + handle_->path() + "' is closed" : "this file is not open");
    return handle_;
}
bool file::is_open() const noexcept {
    return handle_ && handle_->fd() >= 0;
}
int file::native_handle() const noexcept {
    return handle_ ? handle_->fd() : -1;
}
const std::string& file::path() const {
    static const std::string none;
    return handle_ ? handle_->path() : none;
}

task<file> file::open(std::string path, mode m, unsigned permissions) {
    std::shared_ptr<file_handle> h = co_await offload(pool(), &detail::open_now, std::move(path), detail::open_flags(m), permissions);
    co_return file(std::move(h));
}

task<std::size_t> file::read(std::span<std::byte> out) {
    const std::shared_ptr<file_handle> h = handle();
    const detail::position_lock lock(*h);
    co_return co_await offload(pool(), &detail::read_now, h, out);
}
task<std::size_t> file::read_at(std::uint64_t offset, std::span<std::byte> out) {
    co_return co_await offload(pool(), &detail::read_at_now, handle(), offset, out);
}
task<std::size_t> file::write(std::span<const std::byte> bytes) {
    const std::shared_ptr<file_handle> h = handle();
    const detail::position_lock lock(*h);
    h->written = true;
    co_return co_await offload(pool(), &detail::write_now, h, bytes);
}
task<std::size_t> file::write(std::string_view text) {
    return write(bytes_of(text));
}
task<std::size_t> file::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::shared_ptr<file_handle> h = handle();
    h->written = true;
    co_return co_await offload(pool(), &detail::write_at_now, h, offset, bytes);
}
task<std::size_t> file::write_at(std::uint64_t offset, std::string_view text) {
    return write_at(offset, bytes_of(text));
}
task<> file::sync() {
    co_await offload(pool(), &detail::sync_now, handle());
}
task<std::uint64_t> file::size() {
    co_return co_await offload(pool(), &detail::size_now, handle());
}
task<> file::truncate(std::uint64_t size) {
    co_await offload(pool(), &detail::truncate_now, handle(), size);
}

std::uint64_t file::seek(std::uint64_t offset) {
    const off_t at = ::lseek(handle()->fd(), static_cast<off_t>(offset), SEEK_SET);
    if (at < 0) detail::fail("cannot seek in", path());
    return static_cast<std::uint64_t>(at);
}
std::uint64_t file::seek_end() {
    const off_t at = ::lseek(handle()->fd(), 0, SEEK_END);
    if (at < 0) detail::fail("cannot seek in", path());
    return static_cast<std::uint64_t>(at);
}

task<> file::close() {
    if (!is_open()) co_return;
    const bool was_cancelled = this_task::cancel_requested();
    const std::shared_ptr<file_handle> h = std::move(handle_);
    // Shielded: the descriptor is freed whatever happens. A cancellation from before is thrown after that, one that came
    // meanwhile waits for the next checkpoint (R13).
    auto freeing = offload(pool(), &detail::close_now, h);
    co_await shielded(std::move(freeing));
    if (was_cancelled) co_await this_task::checkpoint();
}

task<std::string> read_file(std::string path) {
    co_return co_await offload(pool(), &detail::read_all_now, std::move(path));
}
task<> write_file(std::string path, std::string text) {
    co_await offload(pool(), &detail::write_text_now, std::move(path), std::move(text));
}
task<> write_file(std::string path, std::span<const std::byte> bytes) {
    co_await offload(pool(), &detail::write_all_now, std::move(path), bytes);
}

} // namespace eddy
