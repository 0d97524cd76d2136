#include <eddy/tcp.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <stdexcept>
#include <string>

#include <eddy/event.hpp>
#include <eddy/resolve.hpp>
#include <eddy/resolver_cache.hpp>
#include <eddy/task_group.hpp>
#include <eddy/timeout.hpp>

#include "socket_options.hpp"

namespace eddy {
namespace {

std::string attempts_text(std::string_view target, const std::vector<connect_error::attempt>& attempts) {
    std::string text = "connect to " + std::string(target) + " failed (tried " + std::to_string(attempts.size()) +
                       (attempts.size() == 1 ? " address" : " addresses");
    if (attempts.size() > 1) {
        for (const connect_error::attempt& a : attempts) text += "; " + a.endpoint.to_string() + ": " + a.error.message();
    }
    return text + ")";
}

/// Small writes go out at once. Best effort: a peer may be gone already.
int without_delay(int fd) noexcept {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/// A new TCP socket for an address family. Throws for lack of descriptors, or if the machine does not have the family.
detail::core_owner new_socket(const ip_endpoint& e) {
    const int fd = ::socket(e.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket for " + e.to_string());
    return detail::make_core(fd, true, [&e] { return e.to_string(); });
}

} // namespace

connect_error::connect_error(std::string_view target, std::vector<attempt> attempts)
    : std::system_error(attempts.empty() ? std::make_error_code(std::errc::address_not_available) : attempts.back().error,
                        attempts_text(target, attempts)),
      attempts_(std::make_shared<const std::vector<attempt>>(std::move(attempts))) {}

// --- tcp_stream

tcp_stream::tcp_stream(int native_handle)
    : tcp_stream(detail::adopt_core(without_delay(detail::prepared(native_handle)), true, detail::peer_name(native_handle))) {}

tcp_stream tcp_stream::accepted(int fd, const detail::stream_core& /*listener*/) {
    return tcp_stream(detail::make_core(without_delay(fd), true, [fd] { return detail::peer_name(fd); }));
}

ip_endpoint tcp_stream::local_endpoint() const {
    return detail::local_endpoint_of(open_descriptor());
}
ip_endpoint tcp_stream::remote_endpoint() const {
    return detail::remote_endpoint_of(open_descriptor());
}
void tcp_stream::set_nodelay(bool on) {
    detail::set_option(open_descriptor(), IPPROTO_TCP, TCP_NODELAY, on, "set_nodelay");
}
void tcp_stream::set_keep_alive(bool on) {
    detail::set_option(open_descriptor(), SOL_SOCKET, SO_KEEPALIVE, on, "set_keep_alive");
}
void tcp_stream::set_keep_alive(const keep_alive_options& options) {
    if (options.idle.count() <= 0 || options.interval.count() <= 0 || options.probes <= 0)
        throw std::invalid_argument("set_keep_alive: times and probes must be positive; set_keep_alive(false) turns it off");
    const int fd = open_descriptor();
    detail::set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(options.idle.count()), "set_keep_alive: idle");
    detail::set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(options.interval.count()), "set_keep_alive: interval");
    detail::set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options.probes, "set_keep_alive: probes");
    set_keep_alive(true);
}
void tcp_stream::set_user_timeout(std::chrono::milliseconds limit) {
    detail::set_option(open_descriptor(), IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limit.count()), "set_user_timeout");
}

// --- tcp_connect

namespace {

/// A socket to connect with, bound where the caller wants it.
detail::core_owner new_client_socket(const ip_endpoint& e, const connect_options& o) {
    detail::core_owner socket = new_socket(e);
    if (o.local && ::bind(socket->fd(), o.local->data(), static_cast<socklen_t>(o.local->size())) != 0)
        throw std::system_error(errno, std::generic_category(), "bind to " + o.local->to_string());
    return socket;
}

/// A stream, or why not: an errno of `socket`, `bind` or `connect`. An address family that the machine lacks is no reason to give up.
task<std::error_code> connect_one(const ip_endpoint& e, const connect_options& o, tcp_stream& out) {
    detail::core_owner socket;
    try {
        socket = new_client_socket(e, o);
        const int error = co_await detail::connect_operation(*socket, e.data(), e.size());
        if (error != 0) co_return std::error_code(error, std::generic_category());
    } catch (const std::system_error& error) {
        co_return error.code();
    }
    const int on = 1; // best effort: the peer may have gone again
    ::setsockopt(socket->fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    out = tcp_stream(std::move(socket));
    co_return std::error_code();
}

task<tcp_stream> connect_in_turn(std::string target, std::vector<ip_endpoint> endpoints, connect_options o) {
    std::vector<connect_error::attempt> attempts;
    tcp_stream stream;
    for (const ip_endpoint& e : endpoints) {
        const std::error_code error = co_await connect_one(e, o, stream);
        if (!error) co_return stream;
        attempts.push_back({e, error});
    }
    throw connect_error(target, std::move(attempts));
}

/// Several attempts at once, each begun when the one before it has failed or is slow.
class staggered_connect {
public:
    staggered_connect(const std::vector<ip_endpoint>& endpoints, const connect_options& o) : options_(o) {
        for (const ip_endpoint& e : endpoints) attempts_.push_back({e, std::error_code()});
    }
    task<> run() {
        co_await with_task_group([this](task_group& g) -> task<> {
            for (std::size_t next = 0; !winner_.is_open() && ended_ < attempts_.size();) {
                if (next == attempts_.size()) {
                    co_await until_one_ends(ended_);
                    continue;
                }
                g.spawn(attempt(next++));
                auto ending = [this, before = ended_](cancel_scope&) { return until_one_ends(before); };
                co_await move_on_after(options_.happy_eyeballs, ending);
            }
            g.cancel("another address has answered");
        });
    }
    [[nodiscard]] tcp_stream& winner() noexcept { return winner_; }
    [[nodiscard]] std::vector<connect_error::attempt>& attempts() noexcept { return attempts_; }

private:
    task<> until_one_ends(std::size_t before) {
        while (ended_ == before) {
            co_await one_ended_.wait();
            one_ended_.clear();
        }
    }
    task<> attempt(std::size_t i) {
        tcp_stream stream;
        attempts_[i].error = co_await connect_one(attempts_[i].endpoint, options_, stream);
        if (stream.is_open() && !winner_.is_open()) winner_ = std::move(stream);
        ++ended_;
        one_ended_.set();
    }
    const connect_options& options_;
    std::vector<connect_error::attempt> attempts_;
    std::size_t ended_ = 0;
    event one_ended_;
    tcp_stream winner_;
};

task<tcp_stream> connect_any(std::string target, std::vector<ip_endpoint> endpoints, connect_options o) {
    if (endpoints.size() < 2 || o.happy_eyeballs.count() <= 0) co_return co_await connect_in_turn(std::move(target), std::move(endpoints), o);
    staggered_connect all(endpoints, o);
    co_await all.run();
    if (!all.winner().is_open()) throw connect_error(target, std::move(all.attempts()));
    co_return std::move(all.winner());
}

/// One of each family in turn, beginning with that of the first (RFC 8305, section 4).
std::vector<ip_endpoint> interleaved(const std::vector<ip_endpoint>& all) {
    std::vector<ip_endpoint> families[2];
    for (const ip_endpoint& e : all) families[e.is_v6() == all.front().is_v6() ? 0 : 1].push_back(e);
    std::vector<ip_endpoint> out;
    for (std::size_t i = 0; out.size() < all.size(); ++i) {
        for (const std::vector<ip_endpoint>& family : families) {
            if (i < family.size()) out.push_back(family[i]);
        }
    }
    return out;
}

/// `found`: it has got as far as the addresses.
task<tcp_stream> connect_name(std::string host, std::uint16_t port, connect_options o, bool& found) {
    std::string service = std::to_string(port);
    std::string target = host + ":" + service;
    task<std::vector<ip_endpoint>> looking_up =
        o.cache ? o.cache->resolve(host, std::move(service)) : resolve(host, std::move(service));
    const std::vector<ip_endpoint> endpoints = co_await std::move(looking_up);
    found = true;
    tcp_stream stream = co_await connect_any(std::move(target), interleaved(endpoints), o);
    co_return stream;
}

task<tcp_stream> connect_within(std::string target, task<tcp_stream> connecting, std::chrono::nanoseconds limit, std::source_location site) {
    if (limit.count() <= 0) co_return co_await std::move(connecting);
    auto body = [&connecting](cancel_scope&) -> task<tcp_stream> { co_return co_await std::move(connecting); };
    std::optional<tcp_stream> stream = co_await move_on_after(limit, body);
    if (!stream) throw timeout_error(limit, site, "connect to " + target);
    co_return std::move(*stream);
}

/// Did the attempt fail for want of something on this machine, so that it says nothing of the address?
bool is_local_trouble(const connect_error::attempt& a) noexcept {
    if (a.error.category() != std::generic_category()) return false;
    switch (a.error.value()) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL: // no port is free for our end
    case EADDRINUSE:
    case EAFNOSUPPORT: return true;
    default: return false;
    }
}

/// Forgets the host's addresses where none of them answered: it may have moved. A cancellation says nothing of them.
task<tcp_stream> connect_by_answer(std::string host, std::uint16_t port, connect_options o, std::source_location site) {
    std::string target = host + ":" + std::to_string(port);
    bool found = false;
    try {
        task<tcp_stream> connecting = connect_name(host, port, o, found);
        tcp_stream stream = co_await connect_within(std::move(target), std::move(connecting), o.timeout, site);
        co_return stream;
    } catch (const connect_error& e) {
        if (o.cache && !std::all_of(e.attempts().begin(), e.attempts().end(), &is_local_trouble)) o.cache->forget(host);
        throw;
    } catch (const timeout_error&) {
        if (o.cache && found) o.cache->forget(host);
        throw;
    }
}

} // namespace

task<tcp_stream> tcp_connect(std::string host, std::uint16_t port, connect_options options, std::source_location site) {
    return connect_by_answer(std::move(host), port, options, site);
}

task<tcp_stream> tcp_connect(ip_endpoint endpoint, connect_options options, std::source_location site) {
    std::vector<ip_endpoint> one(1, endpoint);
    return connect_within(endpoint.to_string(), connect_any(endpoint.to_string(), std::move(one), options), options.timeout, site);
}

task<tcp_stream> tcp_connect(std::vector<ip_endpoint> endpoints, connect_options options, std::source_location site) {
    if (endpoints.empty()) throw std::invalid_argument("tcp_connect: there is no address");
    std::string target = endpoints.front().to_string();
    if (endpoints.size() > 1) target += " or " + std::to_string(endpoints.size() - 1) + (endpoints.size() == 2 ? " other" : " others");
    std::string name = target;
    return connect_within(std::move(target), connect_any(std::move(name), std::move(endpoints), options), options.timeout, site);
}

// --- tcp_listener

tcp_listener tcp_listener::bind(const ip_endpoint& endpoint, const listen_options& options) {
    detail::core_owner socket = new_socket(endpoint);
    const int fd = socket->fd();
    if (options.reuse_address) detail::set_option(fd, SOL_SOCKET, SO_REUSEADDR, true, "SO_REUSEADDR");
    if (options.reuse_port) detail::set_option(fd, SOL_SOCKET, SO_REUSEPORT, true, "SO_REUSEPORT");
    if (endpoint.is_v6()) detail::set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options.dual_stack, "IPV6_V6ONLY");
    detail::bind_to_device(fd, options.bind_to_device);
    detail::set_buffer_size(fd, SO_RCVBUF, options.receive_buffer_size, "receive_buffer_size"); // accepted sockets inherit these
    detail::set_buffer_size(fd, SO_SNDBUF, options.send_buffer_size, "send_buffer_size");
    if (::bind(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0)
        throw detail::io_error(errno, "bind to", endpoint.to_string());
    if (::listen(fd, options.backlog) != 0) throw detail::io_error(errno, "listen on", endpoint.to_string());
    return tcp_listener(std::move(socket));
}

tcp_listener::tcp_listener(int native_handle) : tcp_listener(detail::prepared(native_handle), detail::local_endpoint_of(native_handle)) {}

tcp_listener::tcp_listener(int fd, const ip_endpoint& local) : tcp_listener(detail::adopt_core(fd, true, local.to_string()), local) {}

tcp_listener::tcp_listener(detail::core_owner c) : tcp_listener(std::move(c), ip_endpoint()) {
    local_ = detail::local_endpoint_of(core().fd());
    core().set_name(local_.to_string());
}

ip_endpoint tcp_listener::local_endpoint() const {
    if (local_.port() == 0) static_cast<void>(core()); // never had a socket
    return local_;
}

} // namespace eddy
