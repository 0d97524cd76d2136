// What we find out about descriptors that libcurl deals with.
#pragma once

namespace eddy::http::detail {

/// Is `fd` the socket of a connection between these two ports?
[[nodiscard]] bool is_connection(int fd, int local_port, int remote_port) noexcept;
/// Is it connected to a Unix-domain socket?
[[nodiscard]] bool is_unix_connection(int fd) noexcept;

// libcurl before version 8.11 makes socket pairs without close-on-exec.

/// The numbers that the next `socketpair` will get, unless another thread opens something in between. Made before a call
/// that creates a pair, `mark` is called after it; a number that turned out to be something else is left alone.
class coming_pair {
public:
    coming_pair() noexcept = default;
    [[nodiscard]] static coming_pair guess() noexcept;
    [[nodiscard]] bool has(int fd) const noexcept { return fd >= 0 && (fd == first_ || fd == second_); }
    void mark() const noexcept;

private:
    int first_ = -1;
    int second_ = -1;
};

} // namespace eddy::http::detail
