// raw_socket: a socket of any domain and type, for what has no class of its own: AF_NETLINK, AF_VSOCK, SOCK_SEQPACKET, SOCK_RAW.
//
//     raw_socket s(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
//     co_await s.send_to(request, kernel);                 // a socket_address
//     auto got = co_await s.receive(buffer);               // got.size got.from got.truncated
//
// "Raw" as in plain: what the kernel has, awaited. After asyncio's loop.sock_recv, sock_sendall and their like. TCP, UDP and
// Unix-domain sockets have more to offer in their own types.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <eddy/detail/datagram_operations.hpp>
#include <eddy/detail/listener.hpp>
#include <eddy/socket.hpp>
#include <eddy/socket_address.hpp>
#include <eddy/task.hpp>

namespace eddy {

namespace detail {

/// Like connect_operation, on a socket that others may use meanwhile: what they write comes after it.
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] raw_connect_operation final : public outgoing_operation {
public:
    raw_connect_operation(stream_core& core, const socket_address& to) noexcept : outgoing_operation(core, io_opcode::connect), to_(to) {}
    raw_connect_operation(raw_connect_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        if (!core_->is_open()) throw_closed("connect");
        return false;
    }
    bool begin() override { return try_now() || start(); }
    void take() const {
        if (closed_) throw_closed("connect");
        if (error != 0) throw io_error(error, "connect to", to_.to_string());
    }
    /// Was the kernel asked?
    [[nodiscard]] bool begun() const noexcept { return driven_; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "connect"; }

private:
    bool drive() override {
        buffer = to_.data();
        length = to_.size();
        return submit();
    }
    bool advance() noexcept override { return true; }
    socket_address to_;
};

} // namespace detail

/// Receives, reads and accepts are served one at a time (`busy_resource`), sends and writes queue first come first served. All are
/// checkpoints and throw `std::system_error` that names an address, and `closed_resource` after or on a close on our side.
///
/// Sockets of bytes (SOCK_STREAM) have `read_some`, `write`, `write_some`, and are streams for `buffered_reader` and its like; the
/// others, of messages, have `send`, `send_to`. Of the wrong kind these throw `std::logic_error`: a message would be cut off, or
/// bytes be left over, and nobody told.
class raw_socket : public basic_socket {
public:
    using stream_type = raw_socket; // of what `accept` gives
    using received = received_datagram<socket_address>;

    raw_socket() noexcept : basic_socket("raw_socket") {}
    /// A new one, non-blocking and close-on-exec: POSIX socket(). Throws `std::system_error` (`operation_not_permitted` for SOCK_RAW
    /// of the network without CAP_NET_RAW).
    raw_socket(int domain, int type, int protocol = 0);
    /// Adopts a socket and makes it non-blocking and close-on-exec. It stays the caller's if that throws.
    explicit raw_socket(int native_handle);
    raw_socket(raw_socket&&) noexcept = default;
    raw_socket& operator=(raw_socket&&) noexcept = default;
    /// Closes the socket; whoever waits gets `closed_resource`.
    ~raw_socket() = default;

    /// POSIX bind and listen. Throw `std::system_error` that names the address. A file of AF_UNIX is left behind.
    void bind(const socket_address& address);
    void listen(int backlog = 1024);
    /// Awaitable: the next connection, a `raw_socket`. Cancelled, none was taken.
    detail::accept_operation<raw_socket> accept() { return detail::accept_operation<raw_socket>(core()); }
    /// Awaitable: until the socket is connected; without a connection (UDP, AF_NETLINK) it only sets the peer. Who writes meanwhile waits.
    /// While the queue of an AF_UNIX listener is full it tries again every few milliseconds. Cancelled, nothing was connected: if the
    /// kernel was at it already, nobody can say what comes of it, and the socket is closed.
    task<> connect(const socket_address& peer);

    /// Awaitable: the next message, or what bytes there are: `received`: size, from, truncated. On a connected socket 0 bytes are an
    /// empty message or the end. `from` is empty where the kernel names nobody. Cancelled, none was taken. POSIX recvmsg.
    detail::receive_operation<socket_address> receive(std::span<std::byte> buffer) { return {core(), buffer, "receive on"}; }
    detail::receive_operation<socket_address> receive_from(std::span<std::byte> buffer) { return receive(buffer); }
    /// Awaitable: until the kernel has taken the message, for the peer of a connected socket; it waits while the kernel has no room.
    /// Cancelled, it was not sent.
    detail::send_operation<socket_address> send(std::span<const std::byte> bytes) { return {core_of(kind::messages, "send"), bytes}; }
    detail::send_operation<socket_address> send(std::string_view text) { return send(bytes_of(text)); }
    /// The same, for `to`. `std::invalid_argument` for an empty address. Not for AF_UNIX receivers that may be slow: who is not connected
    /// to them is not told when there is room; `unix_datagram_socket` knows what to do then.
    detail::send_operation<socket_address> send_to(std::span<const std::byte> bytes, const socket_address& to) {
        return {core_of(kind::messages, "send_to"), bytes, to};
    }
    detail::send_operation<socket_address> send_to(std::string_view text, const socket_address& to) { return send_to(bytes_of(text), to); }

    /// Awaitable: as of `stream_socket` (<eddy/socket.hpp>).
    detail::read_operation read_some(std::span<std::byte> buffer) { return {core_of(kind::bytes, "read_some"), buffer}; }
    detail::write_operation write(std::span<const std::byte> bytes) { return {core_of(kind::bytes, "write"), bytes}; }
    detail::write_operation write(std::string_view text) { return write(bytes_of(text)); }
    detail::write_operation write(const char* text) { return write(std::string_view(text)); }
    detail::write_some_operation write_some(std::span<const std::byte> bytes) { return {core_of(kind::bytes, "write_some"), bytes}; }
    detail::write_some_operation write_some(std::string_view text) { return write_some(bytes_of(text)); }
    detail::write_some_operation write_some(const char* text) { return write_some(std::string_view(text)); }
    /// Awaitable: tells the peer that no more will come; SOCK_SEQPACKET, too.
    detail::write_operation shutdown_write() { return detail::write_operation(core()); }

    /// Empty if it has none.
    [[nodiscard]] socket_address local_address() const;
    /// Of a connected socket; else `std::errc::not_connected`.
    [[nodiscard]] socket_address remote_address() const;
    /// getsockopt, setsockopt of numbers. Throw `std::system_error`.
    void set_option(int level, int name, int value);
    [[nodiscard]] int option(int level, int name) const;

    // For `serve` and `server`: a socket that listens is a listener. Handed to `serve`, this object has it no more.
    void close_now() noexcept {
        if (const detail::core_ref& c = core_reference()) c->close();
    }
    [[nodiscard]] raw_socket lend() noexcept { return std::move(*this); }
    [[nodiscard]] static raw_socket accepted(int fd, const detail::stream_core& listener);

private:
    friend struct raw_sockets raw_socket_pair(int domain, int type, int protocol);
    enum class kind : bool { messages, bytes };
    raw_socket(detail::core_owner c, kind k) noexcept : basic_socket("raw_socket", std::move(c)), kind_(k) {}
    [[nodiscard]] static kind kind_of(int fd);
    [[nodiscard]] detail::stream_core& core_of(kind k, const char* doing) const {
        if (k != kind_ && is_open()) throw_wrong_kind(doing);
        return core();
    }
    [[noreturn]] void throw_wrong_kind(const char* doing) const;
    kind kind_ = kind::messages;
};

struct raw_sockets {
    raw_socket a;
    raw_socket b;
};
/// Two sockets that are connected with each other: POSIX socketpair(). Throws `std::system_error`.
[[nodiscard]] raw_sockets raw_socket_pair(int domain, int type, int protocol = 0);

} // namespace eddy
