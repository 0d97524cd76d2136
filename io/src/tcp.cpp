#include <eddy/tcp.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <optional>
#include <stdexcept>
#include <string>

#include <eddy/event.hpp>
#include <eddy/resolve.hpp>
#include <eddy/resolver_cache.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>
#include <eddy/timeout.hpp>

#include "bind_all.hpp"
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

/// `off`: how it is turned off instead.
void set_keep_alive_of(int fd, const keep_alive_options& o, const char* doing, const char* off = "") {
    if (o.idle.count() <= 0 || o.interval.count() <= 0 || o.probes <= 0)
        throw std::invalid_argument(std::string(doing) + ": times and probes must be positive" + off);
    const auto number = [](std::chrono::seconds s) { return static_cast<int>(std::min<std::chrono::seconds::rep>(s.count(), INT_MAX)); };
    detail::set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, number(o.idle), "keep-alive: idle"); // the kernel refuses what is too long
    detail::set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, number(o.interval), "keep-alive: interval");
    detail::set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, o.probes, "keep-alive: probes");
    detail::set_option(fd, SOL_SOCKET, SO_KEEPALIVE, true, "keep-alive");
}

/// Only those of the family. Throws if there are none.
std::vector<ip_endpoint> of_family(std::vector<ip_endpoint> endpoints, address_family family, const char* doing) {
    if (endpoints.empty()) throw std::invalid_argument(std::string(doing) + ": there is no address");
    if (family == address_family::any) return endpoints;
    const std::string first = endpoints.front().to_string();
    std::erase_if(endpoints, [family](const ip_endpoint& e) { return e.family() != family; });
    if (endpoints.empty())
        throw std::invalid_argument(std::string(doing) + ": " + first + " is not of " + std::string(to_string(family)) +
                                    ", which alone was asked for"); // nor are those behind it
    return endpoints;
}

} // namespace

connect_error::connect_error(std::string_view target, std::vector<attempt> attempts)
    : std::system_error(attempts.empty() ? std::make_error_code(std::errc::address_not_available) : attempts.back().error,
                        attempts_text(target, attempts)),
      attempts_(std::make_shared<const std::vector<attempt>>(std::move(attempts))) {}

// --- tcp_stream

tcp_stream::tcp_stream(detail::core_owner c) noexcept : stream_socket("tcp_stream", std::move(c)) {
    core().set_reset_by_unread_input();
}

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
    set_keep_alive_of(open_descriptor(), options, "set_keep_alive", "; set_keep_alive(false) turns it off");
}
void tcp_stream::set_user_timeout(std::chrono::milliseconds limit) {
    const int fd = open_descriptor();
    if (limit.count() < 0 || limit.count() > INT_MAX)
        throw std::invalid_argument("set_user_timeout: " + std::to_string(limit.count()) + " ms are not between 0 and " + std::to_string(INT_MAX));
    detail::set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limit.count()), "set_user_timeout");
}

// --- tcp_connect

namespace {

/// A socket to connect with, bound where the caller wants it.
detail::core_owner new_client_socket(const ip_endpoint& e, const connect_options& o) {
    detail::core_owner socket = new_socket(e);
    detail::bind_to_device(socket->fd(), o.bind_to_device);
    detail::set_buffer_size(socket->fd(), SO_RCVBUF, o.receive_buffer_size, "receive_buffer_size"); // before the window is agreed on
    detail::set_buffer_size(socket->fd(), SO_SNDBUF, o.send_buffer_size, "send_buffer_size");
    if (o.local && ::bind(socket->fd(), o.local->data(), static_cast<socklen_t>(o.local->size())) != 0)
        throw std::system_error(errno, std::generic_category(), "bind to " + o.local->to_string());
    return socket;
}

/// A stream, or why not: an errno of `socket`, its options, `bind` or `connect`. An address family that the machine lacks is no reason to give up.
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
    /// Throws for want of memory alone: that itself, and not a group of it.
    task<> run() {
        std::exception_ptr failure;
        try {
            co_await with_task_group([this](task_group& g) { return try_all(g); });
        } catch (const exception_group& e) {
            failure = e.errors().size() == 1 ? e.errors().front() : std::current_exception();
        }
        if (failure) std::rethrow_exception(failure);
    }
    [[nodiscard]] tcp_stream& winner() noexcept { return winner_; }
    [[nodiscard]] std::vector<connect_error::attempt>& attempts() noexcept { return attempts_; }

private:
    task<> try_all(task_group& g) {
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
    }
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

/// `device`: what the options call so, which only had to live until here.
task<tcp_stream> connect_any(std::string target, std::vector<ip_endpoint> endpoints, connect_options o, std::string device) {
    o.bind_to_device = device;
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
    const resolve_options asked{.family = o.family};
    task<std::vector<ip_endpoint>> looking_up =
        o.cache ? o.cache->resolve(host, std::move(service), asked) : resolve(host, std::move(service), asked);
    const std::vector<ip_endpoint> endpoints = co_await std::move(looking_up);
    found = true;
    task<tcp_stream> connecting = connect_any(std::move(target), interleaved(endpoints), o, std::string(o.bind_to_device));
    tcp_stream stream = co_await std::move(connecting);
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
    case ENODEV: // of `bind_to_device`
    case EPERM:  // to bind to it; a firewall of ours
    case EAFNOSUPPORT: return true;
    default: return false;
    }
}

/// Forgets the host's addresses where none of them answered: it may have moved. A cancellation says nothing of them.
task<tcp_stream> connect_by_answer(std::string host, std::uint16_t port, connect_options o, std::string device, std::source_location site) {
    o.bind_to_device = device;
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
    return connect_by_answer(std::move(host), port, options, std::string(options.bind_to_device), site);
}

task<tcp_stream> tcp_connect(ip_endpoint endpoint, connect_options options, std::source_location site) {
    std::vector<ip_endpoint> one = of_family(std::vector<ip_endpoint>(1, endpoint), options.family, "tcp_connect");
    task<tcp_stream> connecting = connect_any(endpoint.to_string(), std::move(one), options, std::string(options.bind_to_device));
    return connect_within(endpoint.to_string(), std::move(connecting), options.timeout, site);
}

task<tcp_stream> tcp_connect(std::vector<ip_endpoint> endpoints, connect_options options, std::source_location site) {
    endpoints = of_family(std::move(endpoints), options.family, "tcp_connect");
    std::string target = endpoints.front().to_string();
    if (endpoints.size() > 1) target += " or " + std::to_string(endpoints.size() - 1) + (endpoints.size() == 2 ? " other" : " others");
    task<tcp_stream> connecting = connect_any(target, std::move(endpoints), options, std::string(options.bind_to_device));
    return connect_within(std::move(target), std::move(connecting), options.timeout, site);
}

// --- tcp_listener

namespace {

bool machine_has_ipv6() noexcept {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const ip_endpoint loopback("::1", 0);
    const bool has = ::bind(fd, loopback.data(), static_cast<socklen_t>(loopback.size())) == 0;
    ::close(fd);
    return has;
}

/// Does this machine not have the family? Where IPv6 is switched off there are sockets for it, but no address.
bool is_without_family(const ip_endpoint& e, const std::error_code& why) {
    if (why == std::errc::address_family_not_supported || why == std::errc::protocol_not_supported) return true;
    return e.is_v6() && why == std::errc::address_not_available && !machine_has_ipv6();
}

void check_dual_stack(std::span<const ip_endpoint> endpoints, bool dual_stack) {
    if (dual_stack && std::any_of(endpoints.begin(), endpoints.end(), [](const ip_endpoint& e) { return !e.is_v6(); }))
        throw std::invalid_argument("tcp_listener::bind: dual_stack is for IPv6 alone; here IPv4 has a socket of its own");
}

task<std::vector<tcp_listener>> listen_on(std::vector<std::string> hosts, std::uint16_t port, listen_options options, std::string device) {
    options.bind_to_device = device;
    co_await this_task::checkpoint();
    std::vector<ip_endpoint> all;
    for (const std::string& host : hosts) {
        task<std::vector<ip_endpoint>> looking_up = resolve(host, std::to_string(port), {.family = options.family, .passive = true});
        const std::vector<ip_endpoint> found = co_await std::move(looking_up);
        all.insert(all.end(), found.begin(), found.end());
    }
    co_return tcp_listener::bind(all, options);
}

} // namespace

std::vector<tcp_listener> tcp_listener::bind(std::span<const ip_endpoint> endpoints, const listen_options& options) {
    const std::vector<ip_endpoint> all =
        of_family(std::vector<ip_endpoint>(endpoints.begin(), endpoints.end()), options.family, "tcp_listener::bind");
    if (all.size() > 1) check_dual_stack(all, options.dual_stack);
    const auto bind_one = [&options](const ip_endpoint& e) { return bind(e, options); };
    return detail::bind_all<tcp_listener>(all, bind_one, is_without_family);
}

task<std::vector<tcp_listener>> tcp_listen(std::string host, std::uint16_t port, const listen_options& options) {
    return listen_on(std::vector<std::string>(1, std::move(host)), port, options, std::string(options.bind_to_device));
}

task<std::vector<tcp_listener>> tcp_listen(std::vector<std::string> hosts, std::uint16_t port, const listen_options& options) {
    if (hosts.empty()) throw std::invalid_argument("tcp_listen: there is no name; \"\" is every address of this machine");
    return listen_on(std::move(hosts), port, options, std::string(options.bind_to_device));
}

tcp_listener tcp_listener::bind(const ip_endpoint& endpoint, const listen_options& options) {
    if (options.family != address_family::any && endpoint.family() != options.family)
        static_cast<void>(of_family(std::vector<ip_endpoint>(1, endpoint), options.family, "tcp_listener::bind"));
    detail::core_owner socket = new_socket(endpoint);
    const int fd = socket->fd();
    if (options.reuse_address) detail::set_option(fd, SOL_SOCKET, SO_REUSEADDR, true, "SO_REUSEADDR");
    if (options.reuse_port) detail::set_option(fd, SOL_SOCKET, SO_REUSEPORT, true, "SO_REUSEPORT");
    if (endpoint.is_v6()) detail::set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options.dual_stack, "IPV6_V6ONLY");
    detail::bind_to_device(fd, options.bind_to_device);
    detail::set_buffer_size(fd, SO_RCVBUF, options.receive_buffer_size, "receive_buffer_size"); // accepted sockets inherit these
    detail::set_buffer_size(fd, SO_SNDBUF, options.send_buffer_size, "send_buffer_size");
    if (options.keep_alive) set_keep_alive_of(fd, *options.keep_alive, "listen_options::keep_alive");
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
