#include <eddy/fs.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include <eddy/offload.hpp>

#include "file_handle.hpp"
#include "file_time.hpp"

namespace eddy::fs {
namespace {

namespace std_fs = std::filesystem;
using detail::pool;
using detail::time_of;

/// While it lives, signals are for other threads: the standard library gives up a copy in whose midst one interrupts it.
class undisturbed {
public:
    undisturbed() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    undisturbed(const undisturbed&) = delete;
    undisturbed& operator=(const undisturbed&) = delete;
    ~undisturbed() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

[[noreturn]] void fail(const char* doing, const path& p, int error) {
    throw filesystem_error(doing, p, std::error_code(error, std::generic_category()));
}

file_type kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFREG: return file_type::regular;
    case S_IFDIR: return file_type::directory;
    case S_IFLNK: return file_type::symlink;
    case S_IFIFO: return file_type::fifo;
    case S_IFSOCK: return file_type::socket;
    case S_IFCHR: return file_type::character;
    case S_IFBLK: return file_type::block;
    default: return file_type::unknown;
    }
}

file_info info_now(const path& p, int flags) {
    struct stat st {};
    if (::fstatat(AT_FDCWD, p.c_str(), &st, flags) != 0) fail("cannot get status", p, errno);
    file_info i;
    i.kind = kind_of(st.st_mode);
    i.permissions = static_cast<perms>(st.st_mode & 07777);
    i.size = static_cast<std::uint64_t>(st.st_size);
    i.links = st.st_nlink;
    i.device = st.st_dev;
    i.inode = st.st_ino;
    i.owner = st.st_uid;
    i.group = st.st_gid;
    i.modified = time_of(st.st_mtim);
    i.changed = time_of(st.st_ctim);
    i.accessed = time_of(st.st_atim);
    return i;
}

void set_time_now(const path& p, std::chrono::system_clock::time_point t) {
    const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, detail::timespec_of(t)};
    if (::utimensat(AT_FDCWD, p.c_str(), times.data(), 0) != 0) fail("cannot set the time", p, errno);
}

// --- directories, on workers

/// A directory that is open.
class directory {
public:
    directory() noexcept = default;
    directory(const directory&) = delete;
    directory& operator=(const directory&) = delete;
    ~directory() { close(); }
    /// False with errno. With `flags` O_NOFOLLOW, a link is no directory.
    [[nodiscard]] bool open(const path& p, int flags) noexcept {
        const int fd = detail::uninterrupted([&] { return ::open(p.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags); });
        if (fd < 0) return false;
        handle_ = ::fdopendir(fd);
        if (handle_) return true;
        const int error = errno;
        ::close(fd);
        errno = error;
        return false;
    }
    void close() noexcept {
        if (handle_) ::closedir(std::exchange(handle_, nullptr));
    }
    [[nodiscard]] bool is_open() const noexcept { return handle_ != nullptr; }
    [[nodiscard]] int fd() const noexcept { return ::dirfd(handle_); }
    /// Null at the end, with errno 0, or with an error. Without "." and "..".
    [[nodiscard]] const dirent* next() noexcept {
        for (;;) {
            errno = 0;
            const dirent* const e = ::readdir(handle_);
            if (!e) return nullptr;
            const std::string_view name = static_cast<const char*>(e->d_name);
            if (name != "." && name != "..") return e;
        }
    }
    [[nodiscard]] file_type kind(const dirent& e) const noexcept {
        switch (e.d_type) {
        case DT_REG: return file_type::regular;
        case DT_DIR: return file_type::directory;
        case DT_LNK: return file_type::symlink;
        case DT_FIFO: return file_type::fifo;
        case DT_SOCK: return file_type::socket;
        case DT_CHR: return file_type::character;
        case DT_BLK: return file_type::block;
        default: break; // the file system does not say
        }
        struct stat st {};
        return ::fstatat(fd(), static_cast<const char*>(e.d_name), &st, AT_SYMLINK_NOFOLLOW) == 0 ? kind_of(st.st_mode) : file_type::unknown;
    }
    [[nodiscard]] bool leads_to_directory(const dirent& e) const noexcept {
        struct stat st {};
        return ::fstatat(fd(), static_cast<const char*>(e.d_name), &st, 0) == 0 && S_ISDIR(st.st_mode);
    }

private:
    DIR* handle_ = nullptr;
};

std::vector<entry> list_now(const path& p) {
    directory d;
    if (!d.open(p, 0)) fail("cannot open directory", p, errno);
    std::vector<entry> all;
    while (const dirent* const e = d.next()) all.emplace_back(p / static_cast<const char*>(e->d_name), d.kind(*e), 1);
    if (errno != 0) fail("cannot read directory", p, errno);
    std::sort(all.begin(), all.end(), [](const entry& a, const entry& b) { return a.path().native() < b.path().native(); });
    return all;
}

/// The state of a walk; used by one call at a time.
class walker {
public:
    walker(path root, walk_options o) : options_(o) {
        if (o.max_depth > 0) pending_.emplace_back(std::move(root), 1);
    }
    /// The next entries, at least one; none at the end.
    [[nodiscard]] std::vector<entry> next() {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        std::vector<entry> batch;
        try {
            while (batch.size() < batch_size && (here_.is_open() || enter())) read_into(batch);
        } catch (const filesystem_error&) {
            if (batch.empty()) throw;
            error_ = std::current_exception(); // after what came before it
        }
        return batch;
    }

private:
    static constexpr std::size_t batch_size = 256;
    class place {
    public:
        place(path p, std::size_t d) noexcept : where(std::move(p)), depth(d) {}
        path where;
        std::size_t depth; // of what is in it
    };
    /// Opens the directory whose turn it is; false if none is left.
    [[nodiscard]] bool enter() {
        while (!pending_.empty()) {
            at_ = std::move(pending_.back());
            pending_.pop_back();
            const bool is_root = at_.depth == 1;
            if (!here_.open(at_.where, is_root || options_.follow_symlinks ? 0 : O_NOFOLLOW)) {
                const int error = errno;
                const bool vanished = error == ENOENT || error == ENOTDIR || error == ELOOP;
                if (is_root || !(options_.skip_unreadable || vanished)) fail("cannot open directory", at_.where, error);
            } else if (is_new()) {
                return true;
            } else {
                here_.close();
            }
        }
        return false;
    }
    /// Links can lead to where we have been.
    [[nodiscard]] bool is_new() {
        struct stat st {};
        return !options_.follow_symlinks || ::fstat(here_.fd(), &st) != 0 || seen_.emplace(st.st_dev, st.st_ino).second;
    }
    void read_into(std::vector<entry>& batch) {
        while (batch.size() < batch_size) {
            const dirent* const e = here_.next();
            if (!e) return leave(errno);
            const file_type kind = here_.kind(*e);
            const bool enters = kind == file_type::directory || (kind == file_type::symlink && options_.follow_symlinks && here_.leads_to_directory(*e));
            path p = at_.where / static_cast<const char*>(e->d_name);
            if (enters && at_.depth < options_.max_depth) pending_.emplace_back(p, at_.depth + 1);
            batch.emplace_back(std::move(p), kind, at_.depth);
        }
    }
    void leave(int error) {
        here_.close();
        if (error != 0 && !options_.skip_unreadable) fail("cannot read directory", at_.where, error);
    }

    walk_options options_;
    std::vector<place> pending_;
    place at_{path(), 0};
    directory here_;
    std::set<std::pair<dev_t, ino_t>> seen_;
    std::exception_ptr error_;
};

} // namespace

task<bool> exists(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::exists(q); }, std::move(p));
}
task<file_info> status(path p) {
    co_return co_await offload(pool(), &info_now, std::move(p), 0);
}
task<file_info> symlink_status(path p) {
    co_return co_await offload(pool(), &info_now, std::move(p), AT_SYMLINK_NOFOLLOW);
}
task<bool> is_directory(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::is_directory(q); }, std::move(p));
}
task<bool> is_regular_file(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::is_regular_file(q); }, std::move(p));
}
task<bool> is_symlink(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::is_symlink(q); }, std::move(p));
}
task<bool> is_empty(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::is_empty(q); }, std::move(p));
}
task<std::uintmax_t> file_size(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::file_size(q); }, std::move(p));
}
task<bool> equivalent(path a, path b) {
    co_return co_await offload(pool(), [](const path& x, const path& y) { return std_fs::equivalent(x, y); }, std::move(a), std::move(b));
}
task<std::chrono::system_clock::time_point> last_write_time(path p) {
    const file_info info = co_await fs::status(std::move(p));
    co_return info.modified;
}
task<> last_write_time(path p, std::chrono::system_clock::time_point t) {
    co_await offload(pool(), &set_time_now, std::move(p), t);
}
task<bool> create_directory(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::create_directory(q); }, std::move(p));
}
task<bool> create_directories(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::create_directories(q); }, std::move(p));
}
task<bool> remove(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::remove(q); }, std::move(p));
}
task<std::uintmax_t> remove_all(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::remove_all(q); }, std::move(p));
}
task<> rename(path from, path to) {
    co_await offload(pool(), [](const path& a, const path& b) { std_fs::rename(a, b); }, std::move(from), std::move(to));
}
task<bool> copy_file(path from, path to, copy_options options) {
    const auto copy_now = [](const path& a, const path& b, copy_options o) {
        const undisturbed here;
        return std_fs::copy_file(a, b, o);
    };
    co_return co_await offload(pool(), copy_now, std::move(from), std::move(to), options);
}
task<> copy(path from, path to, copy_options options) {
    const auto copy_now = [](const path& a, const path& b, copy_options o) {
        const undisturbed here;
        std_fs::copy(a, b, o);
    };
    co_await offload(pool(), copy_now, std::move(from), std::move(to), options);
}
task<path> read_symlink(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::read_symlink(q); }, std::move(p));
}
task<> create_symlink(path target, path link) {
    co_await offload(pool(), [](const path& t, const path& l) { std_fs::create_symlink(t, l); }, std::move(target), std::move(link));
}
task<> create_hard_link(path target, path link) {
    co_await offload(pool(), [](const path& t, const path& l) { std_fs::create_hard_link(t, l); }, std::move(target), std::move(link));
}
task<> copy_symlink(path from, path to) {
    co_await offload(pool(), [](const path& a, const path& b) { std_fs::copy_symlink(a, b); }, std::move(from), std::move(to));
}
task<> resize_file(path p, std::uintmax_t size) {
    const auto resize_now = [](const path& q, std::uintmax_t n) {
        const undisturbed here;
        std_fs::resize_file(q, n);
    };
    co_await offload(pool(), resize_now, std::move(p), size);
}
task<> permissions(path p, perms set, perm_options options) {
    const auto set_now = [](const path& q, perms s, perm_options o) { std_fs::permissions(q, s, o); };
    co_await offload(pool(), set_now, std::move(p), set, options);
}
task<path> canonical(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::canonical(q); }, std::move(p));
}
task<path> weakly_canonical(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::weakly_canonical(q); }, std::move(p));
}
task<path> absolute(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::absolute(q); }, std::move(p));
}
task<path> relative(path p, path base) {
    co_return co_await offload(pool(), [](const path& q, const path& b) { return std_fs::relative(q, b); }, std::move(p), std::move(base));
}
task<path> proximate(path p, path base) {
    co_return co_await offload(pool(), [](const path& q, const path& b) { return std_fs::proximate(q, b); }, std::move(p), std::move(base));
}
task<path> current_path() {
    co_return co_await offload(pool(), [] { return std_fs::current_path(); });
}
task<path> temp_directory_path() {
    co_return co_await offload(pool(), [] { return std_fs::temp_directory_path(); });
}
task<space_info> space(path p) {
    co_return co_await offload(pool(), [](const path& q) { return std_fs::space(q); }, std::move(p));
}
task<std::vector<entry>> list(path directory) {
    co_return co_await offload(pool(), &list_now, std::move(directory));
}

async_generator<entry> walk(path root, walk_options options) {
    const auto state = std::make_unique<walker>(std::move(root), options);
    for (;;) {
        std::vector<entry> batch = co_await offload(pool(), &walker::next, state.get());
        if (batch.empty()) co_return;
        for (entry& e : batch) co_yield std::move(e);
    }
}

} // namespace eddy::fs
