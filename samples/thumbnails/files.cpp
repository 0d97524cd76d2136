#include "files.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace thumbnails {

namespace {

[[noreturn]] void throw_errno(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

class descriptor {
public:
    explicit descriptor(int fd) noexcept : fd_(fd) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    /// Some file systems tell only now that there was no room.
    void close() {
        if (::close(std::exchange(fd_, -1)) != 0) throw_errno("cannot be written");
    }

private:
    int fd_;
};

/// A file under its other name. It is removed unless it got its own.
class unfinished_file {
public:
    explicit unfinished_file(const std::filesystem::path& path) : path_(path), fd_(create()) {}
    unfinished_file(const unfinished_file&) = delete;
    unfinished_file& operator=(const unfinished_file&) = delete;
    ~unfinished_file() {
        if (!name_.empty()) ::unlink(name_.c_str());
    }
    void write(std::span<const unsigned char> bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
            if (n < 0 && errno != EINTR) throw_errno("cannot be written");
            if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
    }
    void finish() {
        fd_.close();
        if (std::rename(name_.c_str(), path_.c_str()) != 0) throw_errno("the thumbnail cannot be put in its place");
        name_.clear();
    }

private:
    // The same picture may be made twice at a time: an attempt that took too long goes on for a moment beside the next.
    [[nodiscard]] int create() {
        static std::atomic<unsigned> last{0};
        for (;;) {
            const std::string unique = std::to_string(::getpid()) + "-" + std::to_string(++last);
            name_ = path_.parent_path() / ("." + path_.filename().string() + "." + unique + ".part");
            const int fd = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (fd >= 0) return fd;
            if (errno == EEXIST) continue; // of a process that was killed and had our number
            name_.clear();
            throw_errno("the thumbnail cannot be created");
        }
    }
    std::filesystem::path path_;
    std::filesystem::path name_;
    descriptor fd_;
};

} // namespace

std::vector<unsigned char> read_file(const std::string& path) {
    const descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) throw_errno("cannot be opened");
    std::vector<unsigned char> bytes;
    for (;;) {
        constexpr std::size_t piece = 1 << 18;
        const std::size_t size = bytes.size();
        bytes.resize(size + piece);
        const ssize_t n = ::read(fd.get(), bytes.data() + size, piece);
        if (n < 0 && errno != EINTR) throw_errno("cannot be read");
        bytes.resize(size + static_cast<std::size_t>(n > 0 ? n : 0));
        if (n == 0) return bytes;
    }
}

void replace_file(const std::string& path, std::span<const unsigned char> bytes) {
    unfinished_file file(path);
    file.write(bytes);
    file.finish();
}

} // namespace thumbnails
