#include <eddy/file.hpp>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <eddy/cancel_scope.hpp>
#include <eddy/errors.hpp>
#include <eddy/offload.hpp>
#include <eddy/stream.hpp>
#include <eddy/this_task.hpp>

#include "file_calls.hpp"
#include "file_handle.hpp"

namespace eddy {
namespace detail {
namespace {

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
    if ((m & file::mode::exclusive) && !(m & file::mode::create))
        throw std::invalid_argument("file::open: mode::exclusive says that the file must be new; add mode::create");
    if ((m & file::mode::truncate) && !writes)
        throw std::invalid_argument("file::open: mode::truncate empties the file; add mode::write");
    flags |= reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
    if (m & file::mode::create) flags |= O_CREAT;
    if (m & file::mode::truncate) flags |= O_TRUNC;
    if (m & file::mode::append) flags |= O_APPEND;
    if (m & file::mode::exclusive) flags |= O_EXCL;
    if (m & file::mode::no_follow) flags |= O_NOFOLLOW;
    if (m & file::mode::direct) flags |= O_DIRECT;
    return flags;
}

void truncate_now(const handle_ptr& h, std::uint64_t size) {
    const open_number fd(*h);
    if (uninterrupted([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) != 0) fail("cannot truncate", h->path());
}

} // namespace

std::string random_digits() {
    std::array<unsigned char, 8> random{};
    if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) fail("getrandom", "for a file name");
    std::string digits;
    for (const unsigned char c : random) {
        digits += "0123456789abcdef"[c >> 4];
        digits += "0123456789abcdef"[c & 15];
    }
    return digits;
}

handle_ptr open_now(const std::string& path, int flags, unsigned permissions) {
    handle_ptr h = std::make_shared<file_handle>(-1, path); // before there is a descriptor that could be lost
    h->set(uninterrupted([&] { return ::open(path.c_str(), flags, permissions); }));
    if (h->fd() < 0) fail("cannot open", path);
    return h;
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

void sync_now(const handle_ptr& h) {
    const open_number fd(*h);
    if (uninterrupted([&] { return ::fsync(fd); }) != 0) fail("cannot sync", h->path());
}

void close_now(const handle_ptr& h) {
    const std::unique_lock lock(h->access);
    const int fd = h->take();
    if (fd >= 0 && ::close(fd) != 0 && errno != EINTR) fail("closing", h->path()); // Linux frees it even so
}

namespace {

std::string read_all_now(const std::string& path) {
    return read_rest_now(open_now(path, O_RDONLY | O_CLOEXEC, 0));
}

void write_all_now(const std::string& path, std::span<const std::byte> bytes) {
    const handle_ptr h = open_now(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    write_now(h, bytes);
    close_now(h);
}

void write_text_now(const std::string& path, const std::string& text) {
    write_all_now(path, bytes_of(text));
}

using file_status = struct ::stat;

/// A new file beside the one that it is going to replace; unlinked unless it does.
class replacement {
public:
    /// `old`: what it replaces. Then it is nobody else's until it has the old one's permissions: that may be a private one.
    replacement(const std::string& target, const std::optional<file_status>& old)
        : target_(target), handle_(std::make_shared<file_handle>(-1, target)) {
        const mode_t permissions = old ? 0600 : 0666;
        const std::size_t slash = target.rfind('/');
        folder_ = slash == std::string::npos ? "." : target.substr(0, slash + 1);
        const std::string start = slash == std::string::npos ? std::string() : folder_;
        do {
            name_ = start + ".eddy-" + random_digits();
            handle_->set(uninterrupted([&] { return ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, permissions); }));
        } while (handle_->fd() < 0 && errno == EEXIST);
        if (handle_->fd() < 0) fail("cannot create a file beside", target);
    }
    replacement(const replacement&) = delete;
    replacement& operator=(const replacement&) = delete;
    ~replacement() {
        if (!name_.empty()) ::unlink(name_.c_str());
    }
    [[nodiscard]] const handle_ptr& handle() const noexcept { return handle_; }
    /// Owner, where we may, and permissions of the one it replaces.
    void take_after(const file_status& old) const {
        const bool same_owner = ::fchown(handle_->fd(), old.st_uid, old.st_gid) == 0;
        const mode_t kept = same_owner ? 07777 : 0777; // never another's set-uid bit
        if (::fchmod(handle_->fd(), old.st_mode & kept) != 0) fail("cannot keep the permissions of", target_);
    }
    /// What the rename is made lasting by, before the handle is closed: for want of it nothing is replaced. A folder that we may not
    /// read cannot be synced by itself; the file system can, by any file in it.
    void prepare_sync() {
        synced_ = std::make_shared<file_handle>(-1, folder_);
        synced_->set(uninterrupted([&] { return ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (synced_->fd() >= 0) return;
        if (errno != EACCES) fail("cannot open", folder_);
        unreadable_ = true;
        synced_->set(::fcntl(handle_->fd(), F_DUPFD_CLOEXEC, 0));
        if (synced_->fd() < 0) fail("cannot sync the folder", folder_);
    }
    void take_place() {
        if (::rename(name_.c_str(), target_.c_str()) != 0) fail("cannot replace", target_);
        name_.clear();
        const int result = uninterrupted([&] { return unreadable_ ? ::syncfs(synced_->fd()) : ::fsync(synced_->fd()); });
        if (result != 0 && errno != EINVAL) fail("cannot sync the folder", folder_); // EINVAL: it has no such thing
    }

private:
    std::string target_;
    std::string folder_;
    std::string name_;
    handle_ptr handle_; // by the target's name: that is what errors are about
    handle_ptr synced_;
    bool unreadable_ = false; // the folder
};

/// Where a link leads: the link stays, and what it leads to is replaced. A link that leads nowhere is replaced itself.
std::string resolved(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
    if (real) return real.get();
    if (errno != ENOENT) fail("cannot replace", path);
    return path;
}

/// The file that is to be replaced, if there is one. Nothing else can be: a rename would put a file in the place of /dev/null.
std::optional<file_status> plain_file_at(const std::string& path) {
    file_status st{};
    if (::stat(path.c_str(), &st) != 0) {
        if (errno != ENOENT) fail("cannot replace", path); // there may be one, and its permissions would be lost
        return std::nullopt;
    }
    if (S_ISREG(st.st_mode)) return st;
    errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    fail("cannot replace", path);
}

void replace_now(const std::string& path, std::span<const std::byte> bytes) {
    const std::string target = resolved(path);
    const std::optional<file_status> old = plain_file_at(target);
    replacement fresh(target, old);
    if (old) fresh.take_after(*old);
    write_now(fresh.handle(), bytes);
    sync_now(fresh.handle());
    fresh.prepare_sync();
    close_now(fresh.handle());
    fresh.take_place();
}

void replace_text_now(const std::string& path, const std::string& text) {
    replace_now(path, bytes_of(text));
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

file file::adopt(int descriptor, std::string path) {
    if (descriptor < 0) throw std::invalid_argument("file::adopt: " + std::to_string(descriptor) + " is no descriptor");
    return file(std::make_shared<detail::file_handle>(descriptor, std::move(path)));
}

task<file> file::open(std::string path, mode m, unsigned permissions) {
    std::shared_ptr<file_handle> h = co_await detail::open_file(std::move(path), detail::open_flags(m), permissions);
    co_return file(std::move(h));
}

task<std::size_t> file::read(std::span<std::byte> out) {
    const std::shared_ptr<file_handle> h = handle();
    const detail::position_lock lock(*h);
    co_return co_await detail::read_file_at_position(h, out);
}
task<std::size_t> file::read_some(std::span<std::byte> out) {
    return read(out);
}
task<std::size_t> file::read_at(std::uint64_t offset, std::span<std::byte> out) {
    co_return co_await detail::read_file_at(handle(), offset, out);
}
task<std::size_t> file::write(std::span<const std::byte> bytes) {
    const std::shared_ptr<file_handle> h = handle();
    const detail::position_lock lock(*h);
    h->written = true;
    co_return co_await detail::write_file_at_position(h, bytes);
}
task<std::size_t> file::write(std::string_view text) {
    return write(bytes_of(text));
}
task<std::size_t> file::write(const char* text) {
    return write(std::string_view(text));
}
task<std::size_t> file::write(std::string&& text) {
    return write_text(std::move(text));
}
task<std::size_t> file::write_text(std::string text) {
    co_return co_await write(bytes_of(text));
}
task<std::size_t> file::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::shared_ptr<file_handle> h = handle();
    h->written = true;
    co_return co_await detail::write_file_at(h, offset, bytes);
}
task<std::size_t> file::write_at(std::uint64_t offset, std::string_view text) {
    return write_at(offset, bytes_of(text));
}
task<std::size_t> file::write_at(std::uint64_t offset, const char* text) {
    return write_at(offset, std::string_view(text));
}
task<std::size_t> file::write_at(std::uint64_t offset, std::string&& text) {
    return write_text_at(offset, std::move(text));
}
task<std::size_t> file::write_text_at(std::uint64_t offset, std::string text) {
    co_return co_await write_at(offset, bytes_of(text));
}
task<> file::sync() {
    co_await detail::sync_file(handle());
}
task<std::uint64_t> file::size() {
    co_return co_await detail::size_of_file(handle());
}
task<> file::truncate(std::uint64_t size) {
    co_await offload(pool(), &detail::truncate_now, handle(), size);
}

std::uint64_t file::seek_to(std::int64_t offset, int whence) {
    const std::shared_ptr<file_handle> h = handle();
    const detail::position_lock lock(*h);
    const off_t at = ::lseek(h->fd(), static_cast<off_t>(offset), whence);
    if (at < 0) detail::fail("cannot seek in", h->path());
    return static_cast<std::uint64_t>(at);
}
std::uint64_t file::seek(std::uint64_t offset) {
    return seek_to(static_cast<std::int64_t>(offset), SEEK_SET);
}
std::uint64_t file::seek_end() {
    return seek_to(0, SEEK_END);
}

task<> file::close() {
    if (!is_open()) co_return;
    const bool was_cancelled = this_task::cancel_requested();
    const std::shared_ptr<file_handle> h = std::move(handle_);
    // Shielded: the descriptor is freed whatever happens. A cancellation from before is thrown after that, one that came
    // meanwhile waits for the next checkpoint (R13).
    co_await shielded(detail::close_file(h));
    if (was_cancelled) co_await this_task::checkpoint();
}

task<std::string> read_file(std::string path) {
    if (detail::ring_does_whole_files()) co_return co_await detail::read_file_by_ring(std::move(path));
    co_return co_await offload(pool(), &detail::read_all_now, std::move(path));
}
task<> write_file(std::string path, std::string text) {
    if (detail::ring_does_whole_files())
        co_await detail::write_file_by_ring(std::move(path), bytes_of(text));
    else
        co_await offload(pool(), &detail::write_text_now, std::move(path), std::move(text));
}
task<> write_file(std::string path, std::span<const std::byte> bytes) {
    if (detail::ring_does_whole_files())
        co_await detail::write_file_by_ring(std::move(path), bytes);
    else
        co_await offload(pool(), &detail::write_all_now, std::move(path), bytes);
}
task<> write_file_atomically(std::string path, std::string text) {
    co_await offload(pool(), &detail::replace_text_now, std::move(path), std::move(text));
}
task<> write_file_atomically(std::string path, std::span<const std::byte> bytes) {
    co_await offload(pool(), &detail::replace_now, std::move(path), bytes);
}

} // namespace eddy
