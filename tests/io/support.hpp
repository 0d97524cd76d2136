// What the tests of the io layer share: connected streams, temporary folders, a peer that does not answer.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <eddy/eddy.hpp>

namespace io_test {

/// Both ends of a TCP connection over loopback.
class connection {
public:
    connection(eddy::tcp_stream c, eddy::tcp_stream s) noexcept : client(std::move(c)), server(std::move(s)) {}
    eddy::tcp_stream client;
    eddy::tcp_stream server;
};

[[nodiscard]] inline eddy::task<connection> connected() {
    eddy::tcp_listener l = eddy::tcp_listener::bind({"127.0.0.1", 0});
    eddy::tcp_stream c = co_await eddy::tcp_connect(l.local_endpoint());
    eddy::tcp_stream s = co_await l.accept();
    co_return connection(std::move(c), std::move(s));
}

/// A name for a Unix socket that no other run of the tests has.
[[nodiscard]] inline std::string abstract_name() {
    static int n = 0;
    return "@eddy-test-" + std::to_string(::getpid()) + "-" + std::to_string(++n);
}

/// What one read gives.
[[nodiscard]] inline eddy::task<std::string> read_text(eddy::tcp_stream& s, std::size_t most = 4096) {
    std::string text(most, '\0');
    const std::size_t n = co_await s.read_some(std::as_writable_bytes(std::span(text)));
    text.resize(n);
    co_return text;
}

/// Everything up to the end.
[[nodiscard]] inline eddy::task<std::string> read_all(eddy::tcp_stream& s) {
    eddy::buffered_reader r{s};
    std::string text = co_await r.read_to_end();
    co_return text;
}

[[nodiscard]] inline eddy::task<> write_text(eddy::tcp_stream& s, std::string text) {
    co_await s.write(text);
}

[[nodiscard]] inline eddy::task<> echo(eddy::tcp_stream s) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
        const std::size_t n = co_await s.read_some(buffer);
        if (n == 0) co_return;
        co_await s.write(std::span<const std::byte>(buffer).first(n));
    }
}

/// Until the kernel has finished an operation whose task did not get to run yet: what the caller does next happens in
/// the tick of its completion.
[[nodiscard]] inline eddy::task<> operation_completed(std::size_t pending_before) {
    while (eddy::this_loop().stats().pending_operations >= pending_before) co_await eddy::this_task::yield();
}

/// An address that does not answer: a listener whose queue is full.
class silent_peer {
public:
    [[nodiscard]] static eddy::task<silent_peer> make() {
        silent_peer p;
        p.listener_ = eddy::tcp_listener::bind({"127.0.0.1", 0}, {.backlog = 0});
        p.filler_ = co_await eddy::tcp_connect(p.listener_.local_endpoint());
        co_return p;
    }
    [[nodiscard]] eddy::ip_endpoint endpoint() const { return listener_.local_endpoint(); }
    /// Lets the next one in.
    [[nodiscard]] eddy::task<> answer() { static_cast<void>(co_await listener_.accept()); }

private:
    eddy::tcp_listener listener_;
    eddy::tcp_stream filler_;
};

/// A port where nobody listens.
[[nodiscard]] inline eddy::ip_endpoint closed_port() {
    return eddy::tcp_listener::bind({"127.0.0.1", 0}).local_endpoint();
}

/// Two addresses of this machine, port 0.
[[nodiscard]] inline std::vector<eddy::ip_endpoint> two_addresses() {
    return {eddy::ip_endpoint("127.0.0.1", 0), eddy::ip_endpoint("127.0.0.2", 0)};
}

/// A folder that goes with everything in it.
class temporary_folder {
public:
    temporary_folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "eddy-test-XXXXXX").string();
        if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temporary folder like " + pattern);
        path_ = pattern;
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

[[nodiscard]] inline std::size_t open_descriptors() {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
    return n;
}

[[nodiscard]] inline bool descriptor_is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

} // namespace io_test
