#include "unix_file.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace eddy::detail {
namespace {

using name_function = int (*)(int, sockaddr*, socklen_t*);

unix_endpoint endpoint_of(int fd, name_function get, const char* what) {
    unix_endpoint e;
    socklen_t size = unix_endpoint::capacity();
    if (get(fd, e.data(), &size) != 0) throw std::system_error(errno, std::generic_category(), what);
    e.resize(size);
    return e;
}

/// Which file a path is.
struct file_identity {
    ::dev_t device;
    ::ino_t number;
    friend bool operator==(const file_identity& a, const file_identity& b) noexcept { return a.device == b.device && a.number == b.number; }
};

std::optional<file_identity> socket_file_at(const char* path) noexcept {
    struct ::stat s {};
    if (::lstat(path, &s) != 0 || !S_ISSOCK(s.st_mode)) return std::nullopt;
    return file_identity{s.st_dev, s.st_ino};
}

// Removes the file while the socket is still open: the number of a file that is in use is not given to another one, so
// that a file with our number is ours.
class remove_file final : public close_hook {
public:
    explicit remove_file(const unix_endpoint& e)
        : path_(std::filesystem::absolute(e.path()).string()), ours_(socket_file_at(path_.c_str())) {}
    void closing() noexcept override {
        if (ours_ && socket_file_at(path_.c_str()) == ours_) ::unlink(path_.c_str());
    }

private:
    std::string path_; // also when the working directory is another one
    std::optional<file_identity> ours_;
};

/// Removes a socket file that nobody has open any more: connecting is refused.
bool remove_stale(int type, const unix_endpoint& e) {
    const std::string path = e.path();
    const std::optional<file_identity> before = socket_file_at(path.c_str());
    if (!before) return false;
    const core_owner probe = new_unix_socket(type, e);
    if (connect_unix(probe->fd(), e) != ECONNREFUSED) return false;
    return socket_file_at(path.c_str()) == before && ::unlink(path.c_str()) == 0;
}

int bind_now(int fd, const unix_endpoint& e) noexcept {
    return ::bind(fd, e.data(), static_cast<socklen_t>(e.size())) == 0 ? 0 : errno;
}

} // namespace

core_owner new_unix_socket(int type, const unix_endpoint& e) {
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) throw io_error(errno, "socket for", e.to_string());
    return make_core(fd, true, [&e] { return e.to_string(); });
}

void bind_unix(stream_core& socket, int type, const unix_endpoint& e, const unix_file_options& options, int backlog) {
    const int fd = socket.fd();
    const bool has_file = !e.is_abstract();
    // The file gets the permissions of the socket: so nobody has more at any time.
    if (has_file && options.permissions != 0777 && ::fchmod(fd, options.permissions) != 0)
        throw io_error(errno, "permissions for", e.path());
    int error = bind_now(fd, e);
    if (error == EADDRINUSE && options.replace_stale && has_file && remove_stale(type, e)) error = bind_now(fd, e);
    if (error != 0) throw io_error(error, "bind to", e.path());
    try {
        std::unique_ptr<close_hook> file;
        if (options.cleanup && has_file) file = std::make_unique<remove_file>(e);
        if (backlog >= 0 && ::listen(fd, backlog) != 0) throw io_error(errno, "listen on", e.path());
        socket.set_close_hook(std::move(file));
    } catch (...) {
        if (has_file) ::unlink(e.path().c_str()); // it was us who made it, and nobody could connect yet
        throw;
    }
}

int connect_unix(int fd, const unix_endpoint& e) noexcept {
    for (;;) {
        const int error = ::connect(fd, e.data(), static_cast<socklen_t>(e.size())) == 0 ? 0 : errno;
        if (error != EINTR) return error;
    }
}

unix_endpoint local_unix_endpoint_of(int fd) {
    return endpoint_of(fd, &::getsockname, "local_endpoint");
}
unix_endpoint remote_unix_endpoint_of(int fd) {
    return endpoint_of(fd, &::getpeername, "remote_endpoint");
}

std::string unix_name_of(int fd) {
    unix_endpoint e;
    for (const name_function get : {&::getpeername, &::getsockname}) {
        socklen_t size = unix_endpoint::capacity();
        if (get(fd, e.data(), &size) != 0) continue;
        e.resize(size);
        if (!e.empty()) return e.path();
    }
    return "a Unix-domain socket";
}

} // namespace eddy::detail
