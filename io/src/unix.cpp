#include <eddy/unix.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include <eddy/sleep.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "socket_options.hpp"
#include "unix_file.hpp"

namespace eddy {
// --- unix_stream

unix_stream::unix_stream(int native_handle)
    : unix_stream(detail::adopt_core(detail::prepared(native_handle), true, detail::unix_name_of(native_handle))) {}

unix_stream unix_stream::accepted(int fd, const detail::stream_core& listener) {
    return unix_stream(detail::make_core(fd, true, [&listener] { return "a client of " + listener.name(); }));
}

unix_streams unix_stream_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
        throw std::system_error(errno, std::generic_category(), "unix_stream_pair");
    detail::core_pair pair = detail::make_core_pair(ends[0], ends[1], true, "the other end of a pair");
    return {unix_stream(std::move(pair.first)), unix_stream(std::move(pair.second))};
}

peer_credentials unix_stream::credentials() const {
    ::ucred c{};
    socklen_t size = sizeof c;
    if (::getsockopt(open_descriptor(), SOL_SOCKET, SO_PEERCRED, &c, &size) != 0)
        throw std::system_error(errno, std::generic_category(), "credentials");
    return {c.pid, c.uid, c.gid};
}

unix_endpoint unix_stream::local_endpoint() const {
    return detail::local_unix_endpoint_of(open_descriptor());
}
unix_endpoint unix_stream::remote_endpoint() const {
    return detail::remote_unix_endpoint_of(open_descriptor());
}

// --- unix_connect

namespace {

constexpr std::chrono::milliseconds first_connect_pause{1};
constexpr std::chrono::milliseconds longest_connect_pause{50};

// A connect that does not block either succeeds or fails at once. EAGAIN is a full queue, and neither readiness nor SO_ERROR
// tell when there is room: a socket that is not connected is always writable.
task<unix_stream> connect_to(unix_endpoint e) {
    co_await this_task::checkpoint();
    detail::core_owner socket = detail::new_unix_socket(SOCK_STREAM, e);
    for (std::chrono::milliseconds pause = first_connect_pause;; pause = std::min(2 * pause, longest_connect_pause)) {
        const int error = detail::connect_unix(socket->fd(), e);
        if (error == 0) break;
        if (error != EAGAIN) throw detail::io_error(error, "connect to", e.path());
        co_await sleep_for(pause);
    }
    co_return unix_stream(std::move(socket));
}

task<unix_stream> connect_within(unix_endpoint e, std::chrono::nanoseconds limit, std::source_location site) {
    auto body = [&e](cancel_scope&) { return connect_to(e); };
    std::optional<unix_stream> stream = co_await move_on_after(limit, body);
    if (!stream) throw timeout_error(limit, site, "connect to " + e.path());
    co_return std::move(*stream);
}

} // namespace

task<unix_stream> unix_connect(std::string path, unix_connect_options options, std::source_location site) {
    const unix_endpoint e(path);
    return options.timeout.count() > 0 ? connect_within(e, options.timeout, site) : connect_to(e);
}

// --- unix_listener

unix_listener unix_listener::bind(std::string_view path, const unix_listen_options& options) {
    const unix_endpoint e(path);
    detail::core_owner socket = detail::new_unix_socket(SOCK_STREAM, e);
    detail::bind_unix(*socket, SOCK_STREAM, e, {options.cleanup, options.replace_stale, options.permissions}, options.backlog);
    return unix_listener(std::move(socket), e);
}

unix_listener::unix_listener(int native_handle)
    : unix_listener(detail::prepared(native_handle), detail::local_unix_endpoint_of(native_handle)) {}

unix_listener::unix_listener(int fd, const unix_endpoint& local)
    : unix_listener(detail::adopt_core(fd, true, detail::unix_name_of(fd)), local) {}

} // namespace eddy
