// TCP: tcp_connect, tcp_stream, tcp_listener.
//
//     tcp_stream s = co_await tcp_connect("localhost", 8080, {.timeout = 3s});
//     co_await s.write("hello"sv);
//     std::size_t n = co_await s.read_some(buffer);        // 0 = end
//
// Streams and listeners are bound to the loop that first uses them and belong to its thread. Every descriptor is
// close-on-exec and non-blocking; SIGPIPE is never raised.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <eddy/detail/stream_core.hpp>
#include <eddy/endpoint.hpp>
#include <eddy/stream.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// No address could be connected to. Always this type, whatever the number of addresses.
class connect_error : public std::system_error {
public:
    struct attempt {
        ip_endpoint endpoint;
        std::error_code error;
    };
    connect_error(std::string_view target, std::vector<attempt> attempts);
    /// Each address that was tried, with its error.
    [[nodiscard]] const std::vector<attempt>& attempts() const noexcept { return *attempts_; }

private:
    std::shared_ptr<const std::vector<attempt>> attempts_;
};

/// A connected TCP socket: both directions in one object. Move-only; not while an operation of it is in progress.
/// Reads are served one at a time (`busy_resource`), writes queue first come first served and are never torn.
class tcp_stream {
public:
    tcp_stream() noexcept = default;
    /// Adopts a connected socket and makes it non-blocking and close-on-exec.
    explicit tcp_stream(int native_handle);
    tcp_stream(tcp_stream&&) noexcept = default;
    tcp_stream& operator=(tcp_stream&&) noexcept = default;
    /// Closes the socket: what was written is still delivered, whoever waits gets `closed_resource`.
    ~tcp_stream() = default;

    /// Awaitable: the number of bytes read, at least one; 0 at the end of the stream and for an empty buffer.
    /// Checkpoint; cancelled, nothing was read (R4). Throws `std::system_error` naming the peer, `busy_resource` while
    /// another task reads, `closed_resource` after or on a close on our side.
    detail::read_operation read_some(std::span<std::byte> buffer) { return {core(), buffer}; }
    /// Awaitable: until the kernel has taken all of it. Checkpoint; cancelled, `partial()` of the exception is how many
    /// bytes had gone out; if that is not 0, later writes throw `broken_resource`. `std::logic_error` after shutdown_write.
    detail::write_operation write(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::write_operation write(std::string_view text) { return write(bytes_of(text)); }
    detail::write_operation write(const char* text) { return write(std::string_view(text)); }
    /// Awaitable: tells the peer that no more will come, after the writes that are queued. We can still read.
    detail::write_operation shutdown_write() { return detail::write_operation(core()); }
    /// Awaitable: frees the descriptor at once; what was written is still delivered. Whoever waits gets `closed_resource`.
    /// A cancellation that was there before is thrown after the descriptor is free (R13). Twice does no harm.
    detail::close_operation close() noexcept { return detail::close_operation(core_.ref()); }
    /// Drops what was not sent yet and resets the connection.
    void abort() noexcept {
        if (core_) core_->abort();
    }

    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    [[nodiscard]] ip_endpoint local_endpoint() const;
    [[nodiscard]] ip_endpoint remote_endpoint() const;
    /// -1 when closed. Still owned by the stream.
    [[nodiscard]] int native_handle() const noexcept { return core_ ? core_->fd() : -1; }
    /// Gives the descriptor away.
    [[nodiscard]] int release() noexcept { return core_ ? core_->detach() : -1; }
    /// TCP_NODELAY; on from the start, as in asyncio.
    void set_nodelay(bool on);
    void set_keep_alive(bool on);

    explicit tcp_stream(detail::core_owner c) noexcept : core_(std::move(c)) {} // for the library
    [[nodiscard]] const detail::core_ref& core_reference() const noexcept { return core_.ref(); }

private:
    [[nodiscard]] detail::stream_core& core() const {
        if (!core_) throw closed_resource("this tcp_stream has no socket");
        return *core_;
    }
    detail::core_owner core_;
};

struct connect_options {
    std::chrono::nanoseconds timeout{0}; // for all of it, look-up included; 0: none. Throws timeout_error.
    /// An address that has not answered for so long is joined by the next one (RFC 8305); 0: one after another.
    std::chrono::nanoseconds happy_eyeballs = std::chrono::milliseconds(250);
    std::optional<ip_endpoint> local = {}; // bound to it; port 0: any. Addresses of the other family fail.
};

/// Looks the name up and tries its addresses: IPv6 and IPv4 in turn, the next one when one has failed or is slow; the first that
/// answers wins, and the sockets of all others are closed. Checkpoint; cancelled, no socket is left.
/// Throws `connect_error` with what became of each address, `resolve_error` (<eddy/resolve.hpp>), `timeout_error`.
task<tcp_stream> tcp_connect(std::string host, std::uint16_t port, connect_options options = {},
                                           std::source_location site = std::source_location::current());
task<tcp_stream> tcp_connect(ip_endpoint endpoint, connect_options options = {},
                                           std::source_location site = std::source_location::current());
/// The same with addresses of one's own, in their order. None at all: `std::invalid_argument`.
task<tcp_stream> tcp_connect(std::vector<ip_endpoint> endpoints, connect_options options = {},
                                           std::source_location site = std::source_location::current());

struct listen_options {
    int backlog = 1024;
    bool reuse_address = true;
    bool reuse_port = false; // several sockets share the port, the kernel spreads connections
};

namespace detail {

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] accept_operation final : public incoming_operation {
public:
    explicit accept_operation(stream_core& core) noexcept : incoming_operation(core, io_opcode::accept) {}
    accept_operation(accept_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const;
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] tcp_stream take() const;
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "accept"; }
};

} // namespace detail

class tcp_listener {
public:
    tcp_listener() noexcept = default;
    tcp_listener(tcp_listener&&) noexcept = default;
    tcp_listener& operator=(tcp_listener&&) noexcept = default;
    /// Closes the socket; whoever waits in `accept` gets `closed_resource`.
    ~tcp_listener() = default;

    /// A socket that listens; port 0 lets the kernel pick. Throws `std::system_error` that names the endpoint.
    [[nodiscard]] static tcp_listener bind(const ip_endpoint& endpoint, const listen_options& options = {});
    /// Adopts a listening socket and makes it non-blocking and close-on-exec.
    explicit tcp_listener(int native_handle);

    /// Awaitable: the next connection. Checkpoint; cancelled, none was taken. Throws `std::system_error` (EMFILE, …),
    /// `busy_resource` while another task accepts, `closed_resource`.
    detail::accept_operation accept() { return detail::accept_operation(core()); }
    detail::close_operation close() noexcept { return detail::close_operation(any_core()); }
    void close_now() noexcept {
        if (any_core()) any_core()->close();
    }
    /// False while a server has it.
    [[nodiscard]] bool is_open() const noexcept { return core_ && core_->is_open(); }
    /// Also after it was closed.
    [[nodiscard]] ip_endpoint local_endpoint() const;
    [[nodiscard]] int native_handle() const noexcept { return any_core() ? any_core()->fd() : -1; }

    /// For the library: the socket for a server. This object can still close it, but does not own it any more.
    [[nodiscard]] tcp_listener lend() noexcept {
        tcp_listener other;
        if (core_) lent_ = core_.ref();
        std::swap(other.core_, core_);
        other.local_ = local_;
        return other;
    }

private:
    explicit tcp_listener(detail::core_owner c); // of a socket that listens
    [[nodiscard]] detail::stream_core& core() const {
        if (!core_) throw closed_resource(lent_ ? "this tcp_listener belongs to a server" : "this tcp_listener has no socket");
        return *core_;
    }
    [[nodiscard]] const detail::core_ref& any_core() const noexcept { return core_ ? core_.ref() : lent_; }
    detail::core_owner core_;
    detail::core_ref lent_;
    ip_endpoint local_;
};

} // namespace eddy
