// datagram_socket: what udp_socket and unix_datagram_socket have in common. A datagram arrives as a whole or not at all.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <eddy/detail/datagram_operations.hpp>
#include <eddy/socket.hpp>

namespace eddy {

/// Receives are served one at a time (`busy_resource`), sends queue first come first served. All are checkpoints, allocate
/// nothing, and throw `std::system_error` naming who was sent to or, on a connected socket, the peer; `closed_resource` after
/// or on a close on our side. Empty datagrams are sent and received like others.
///
/// A connected socket is told when the peer's machine refuses (ICMP): the next send or receive throws
/// `std::errc::connection_refused`. That concerns an earlier datagram, and the socket is as good as before.
template <class Endpoint>
class datagram_socket : public basic_socket {
public:
    using endpoint_type = Endpoint;
    using received = received_datagram<Endpoint>;
    using incoming = incoming_datagram<Endpoint>;
    using outgoing = outgoing_datagram<Endpoint>;

    /// Awaitable: the next datagram, `received`: size, from, truncated. Cancelled, none was taken.
    detail::receive_operation<Endpoint> receive_from(std::span<std::byte> buffer) { return {core(), buffer, doing()}; }
    /// The same: on a connected socket everything is from the peer.
    detail::receive_operation<Endpoint> receive(std::span<std::byte> buffer) { return receive_from(buffer); }
    /// Awaitable: until the kernel has taken the datagram; it waits while the kernel has no room. Cancelled, it was not sent.
    detail::send_operation<Endpoint> send(std::span<const std::byte> bytes) { return {core(), bytes}; }
    detail::send_operation<Endpoint> send(std::string_view text) { return send(bytes_of(text)); }

    /// Awaitable: fills as many of `datagrams`, from the first on, as have come, with one system call; at least one, for which it
    /// waits, and at most 32. Returns how many. Cancelled, none was taken.
    detail::receive_many_operation<Endpoint> receive_many(std::span<incoming> datagrams) { return {core(), datagrams, doing()}; }
    /// Awaitable: until the kernel has taken all of them, with a system call for up to 32. Cancelled, `partial()` of the exception
    /// is how many had gone out. An error's message says at which it stopped.
    detail::send_many_operation<Endpoint> send_many(std::span<const outgoing> datagrams) { return {core(), datagrams}; }

    /// Without waiting: nothing if none is there. `busy_resource` while a task receives.
    [[nodiscard]] std::optional<received> try_receive_from(std::span<std::byte> buffer) {
        detail::receive_operation<Endpoint> op = receive_from(buffer);
        static_cast<void>(op.try_now());
        if (!core().incoming_is_free()) throw busy_resource("another task is already reading from " + core().name());
        return op.attempt() ? std::optional<received>(op.take()) : std::nullopt;
    }
    /// Without waiting: false if the kernel has no room or other sends wait.
    [[nodiscard]] bool try_send(std::span<const std::byte> bytes) { return attempt(send(bytes)); }
    [[nodiscard]] bool try_send(std::string_view text) { return try_send(bytes_of(text)); }

protected:
    datagram_socket(const char* kind, detail::core_owner c, bool connected) noexcept
        : basic_socket(kind, std::move(c)), connected_(connected) {}
    datagram_socket(datagram_socket&&) noexcept = default;
    datagram_socket& operator=(datagram_socket&&) noexcept = default;
    ~datagram_socket() = default;

    [[nodiscard]] bool attempt(detail::send_operation<Endpoint> op) {
        static_cast<void>(op.try_now());
        if (!core().outgoing_is_free() || !op.attempt()) return false;
        op.take();
        return true;
    }

private:
    [[nodiscard]] const char* doing() const noexcept { return connected_ ? "receive from" : "receive on"; }
    bool connected_;
};

} // namespace eddy
