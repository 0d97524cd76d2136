#include "file_folder.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace eddy::http::detail {
namespace {

class descriptor {
public:
    explicit descriptor(int fd) noexcept : fd_(fd) {}
    descriptor(descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
    descriptor& operator=(descriptor&& o) noexcept {
        std::swap(fd_, o.fd_);
        return *this;
    }
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_;
};

[[noreturn]] void fail(int error, const char* what, const std::string& path) {
    throw std::system_error(error, std::generic_category(), std::string("cannot ") + what + " '" + path + "'");
}

/// openat that no signal interrupts.
[[nodiscard]] descriptor open_at(int folder, const char* path, int flags) noexcept {
    int fd = -1;
    do {
        fd = ::openat(folder, path, flags);
    } while (fd < 0 && errno == EINTR);
    return descriptor(fd);
}

/// Part by part, without a symbolic link on the way: for kernels without openat2.
[[nodiscard]] descriptor open_by_parts(int root, std::string_view path, int flags) {
    descriptor at = open_at(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    std::string_view rest = path;
    while (at) {
        const std::size_t slash = rest.find('/');
        const bool last = slash == std::string_view::npos;
        const std::string part(rest.substr(0, slash));
        if (last) return open_at(at.get(), part.empty() ? "." : part.c_str(), flags | O_NOFOLLOW);
        if (!part.empty()) at = open_at(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rest.remove_prefix(slash + 1);
    }
    return at;
}

[[nodiscard]] descriptor open_beneath(int root, const std::string& path, int flags) {
    open_how how{};
    how.flags = static_cast<unsigned>(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    constexpr int most = 8; // EAGAIN: something was renamed meanwhile, and the kernel cannot be sure
    for (int i = 0; i < most;) {
        descriptor found(static_cast<int>(::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how)));
        if (found) return found;
        if (errno == ENOSYS || errno == EPERM) return open_by_parts(root, path, flags); // or a sandbox that does not know it
        if (errno != EAGAIN && errno != EINTR) return found;
        if (errno == EAGAIN) ++i; // signals are not counted
    }
    return descriptor(-1);
}

/// Is it as if there were nothing?
[[nodiscard]] bool is_missing(int error) noexcept {
    constexpr std::array<int, 8> missing{ENOENT, ENOTDIR, EACCES, ELOOP, EXDEV, ENAMETOOLONG, EPERM, ENXIO};
    for (const int e : missing) {
        if (e == error) return true;
    }
    return false;
}

[[nodiscard]] std::string tag_of(const struct stat& s) {
    std::array<char, 64> text{};
    char* at = text.data();
    char* const end = text.data() + text.size() - 1;
    *at++ = '"';
    at = std::to_chars(at, end, static_cast<std::uint64_t>(s.st_ino), 16).ptr;
    *at++ = '-';
    at = std::to_chars(at, end, static_cast<std::uint64_t>(s.st_size), 16).ptr;
    *at++ = '-';
    const auto nanoseconds = static_cast<std::uint64_t>(s.st_mtim.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(s.st_mtim.tv_nsec);
    at = std::to_chars(at, end, nanoseconds, 16).ptr;
    *at++ = '"';
    return {text.data(), static_cast<std::size_t>(at - text.data())};
}

[[nodiscard]] struct stat status_of(const descriptor& d, const std::string& path) {
    struct stat s {};
    if (::fstat(d.get(), &s) != 0) fail(errno, "look at", path);
    return s;
}

} // namespace

bool file_folder::may_serve(std::string_view path) const noexcept {
    if (path.find('\0') != std::string_view::npos || path.starts_with('/')) return false;
    for (std::string_view rest = path; !rest.empty();) {
        const std::size_t slash = rest.find('/');
        const std::string_view part = rest.substr(0, slash);
        if (part == ".." || part == "." || (!hidden && part.starts_with('.'))) return false;
        rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    }
    return true;
}

found_file find_file(const std::shared_ptr<const file_folder>& folder, const std::string& path) {
    const std::string name = folder->root + "/" + path;
    const descriptor root = open_at(AT_FDCWD, folder->root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!root) fail(errno, "open the folder", folder->root);
    found_file found;
    // Looked at first: to open a FIFO or a device for reading does something to it.
    descriptor d = open_beneath(root.get(), path, O_PATH | O_CLOEXEC);
    if (!d && is_missing(errno)) return found;
    if (!d) fail(errno, "open", name);
    const mode_t seen = status_of(d, name).st_mode;
    if (S_ISDIR(seen)) found.what = found_file::kind::folder;
    if (!S_ISREG(seen)) return found;

    d = open_beneath(root.get(), path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (!d && is_missing(errno)) return found;
    if (!d) fail(errno, "open", name);
    const struct stat s = status_of(d, name);
    if (!S_ISREG(s.st_mode)) return found; // it was replaced meanwhile
    found.what = found_file::kind::file;
    found.size = static_cast<std::uint64_t>(s.st_size);
    found.modified = s.st_mtim.tv_sec;
    found.tag = tag_of(s);
    found.open = file::adopt(d.get(), name);
    static_cast<void>(d.release());
    return found;
}

} // namespace eddy::http::detail
