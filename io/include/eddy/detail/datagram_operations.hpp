// The operations of datagram sockets. Their message headers point into the operations themselves, which may be moved until they
// are started: the pointers are set at the start.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/detail/stream_core.hpp>

namespace eddy {

/// What came.
template <class Endpoint>
struct received_datagram {
    std::size_t size = 0;   // bytes in the buffer
    Endpoint from;          // of an AF_UNIX socket without a name: the empty endpoint
    bool truncated = false; // the buffer was too small: the rest of the datagram is lost
};

/// Room for one datagram of `receive_many`, and what came.
template <class Endpoint>
struct incoming_datagram {
    std::span<std::byte> buffer;
    std::size_t size = 0;
    Endpoint from{};
    bool truncated = false;
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return buffer.first(size); }
};

/// One datagram of `send_many`. A default endpoint: the peer that the socket is connected to.
template <class Endpoint>
struct outgoing_datagram {
    std::span<const std::byte> bytes;
    Endpoint to{};
};

namespace detail {

/// How messages call what they were done with: "receive from 127.0.0.1:53" on a connected socket, else "receive on".
struct datagram_words {
    const char* receive;
    const char* send;
};

/// Is it anything that a datagram could be sent to? Default endpoints are not.
[[nodiscard]] bool is_destination(const auto& e) noexcept {
    if constexpr (requires { e.port(); })
        return e.port() != 0;
    else
        return !e.empty();
}

template <class Endpoint>
void aim_at(msghdr& m, Endpoint& e) noexcept {
    m.msg_name = e.data();
    m.msg_namelen = static_cast<socklen_t>(Endpoint::capacity());
}
/// The kernel has written an address.
template <class Endpoint>
void note_sender(Endpoint& e, const msghdr& m) noexcept {
    if constexpr (requires { e.resize(m.msg_namelen); }) e.resize(m.msg_namelen);
}
template <class Endpoint>
void address(msghdr& m, const Endpoint& e) noexcept {
    if (!is_destination(e)) return;
    m.msg_name = const_cast<sockaddr*>(e.data()); // only read from
    m.msg_namelen = static_cast<socklen_t>(e.size());
}
[[nodiscard]] inline iovec part_of(std::span<const std::byte> bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()}; // only read from where it is sent
}

template <class Endpoint>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] receive_operation final : public incoming_operation {
public:
    receive_operation(stream_core& core, std::span<std::byte> out, const char* doing) noexcept
        : incoming_operation(core, io_opcode::receive_message), out_(out), doing_(doing) {}
    receive_operation(receive_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        expect_open(doing_);
        return false;
    }
    bool start() {
        aim();
        return incoming_operation::start();
    }
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] received_datagram<Endpoint> take() {
        check(doing_);
        note_sender(from_, message_);
        return {static_cast<std::size_t>(result), from_, (message_.msg_flags & MSG_TRUNC) != 0};
    }
    /// Without waiting. True if something came, or failed.
    [[nodiscard]] bool attempt() noexcept {
        aim();
        return perform(core_->fd(), *this, false);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "receive"; }

private:
    void aim() noexcept {
        part_ = part_of(out_);
        message_ = msghdr{};
        message_.msg_iov = &part_;
        message_.msg_iovlen = 1;
        aim_at(message_, from_);
        buffer = &message_;
    }
    std::span<std::byte> out_;
    const char* doing_;
    iovec part_{};
    msghdr message_{};
    Endpoint from_;
};

template <class Endpoint>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] send_operation final : public outgoing_operation {
public:
    /// To the peer.
    send_operation(stream_core& core, std::span<const std::byte> bytes) noexcept
        : outgoing_operation(core, io_opcode::send_message), bytes_(bytes), to_peer_(true) {}
    send_operation(stream_core& core, std::span<const std::byte> bytes, const Endpoint& to) noexcept
        : outgoing_operation(core, io_opcode::send_message), bytes_(bytes), to_(to) {}
    send_operation(send_operation&&) noexcept = default;
    [[nodiscard]] bool try_now() const {
        if (!core_->is_open()) throw_closed("send on");
        if (!to_peer_ && !is_destination(to_))
            throw std::invalid_argument("send_to: '" + to_.to_string() + "' is no destination; send() is for the peer of a connected socket");
        return false;
    }
    bool begin() override { return try_now() || start(); }
    void take() const {
        if (closed_) throw_closed("send on");
        if (error != 0) throw io_error(error, "send to", to_peer_ ? core_->name() : to_.to_string());
    }
    /// Without waiting. True if it went out, or failed.
    [[nodiscard]] bool attempt() noexcept {
        aim();
        return perform(core_->fd(), *this, false);
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "send"; }

private:
    void aim() noexcept {
        part_ = part_of(bytes_);
        message_ = msghdr{};
        message_.msg_iov = &part_;
        message_.msg_iovlen = 1;
        if (!to_peer_) address(message_, to_);
        buffer = &message_;
    }
    bool drive() override {
        aim();
        return submit();
    }
    bool advance() noexcept override { return true; }
    std::span<const std::byte> bytes_;
    Endpoint to_;
    bool to_peer_ = false;
    iovec part_{};
    msghdr message_{};
};

/// Messages in one system call: they are in the coroutine's frame.
inline constexpr std::size_t most_messages = 32;

struct message_batch {
    std::array<mmsghdr, most_messages> headers;
    std::array<iovec, most_messages> parts;

    msghdr& add(std::size_t i, std::span<const std::byte> bytes) noexcept {
        parts[i] = part_of(bytes);
        headers[i] = mmsghdr{};
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        return headers[i].msg_hdr;
    }
};

template <class Endpoint>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] receive_many_operation final : public incoming_operation {
public:
    receive_many_operation(stream_core& core, std::span<incoming_datagram<Endpoint>> out, const char* doing) noexcept
        : incoming_operation(core, io_opcode::receive_messages), out_(out), doing_(doing) {}
    receive_many_operation(receive_many_operation&& o) noexcept : incoming_operation(std::move(o)), out_(o.out_), doing_(o.doing_) {}
    [[nodiscard]] bool try_now() const {
        expect_open(doing_);
        return out_.empty();
    }
    bool start() {
        length = std::min(out_.size(), most_messages);
        for (std::size_t i = 0; i < length; ++i) aim_at(batch_.add(i, out_[i].buffer), out_[i].from);
        buffer = batch_.headers.data();
        return incoming_operation::start();
    }
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] std::size_t take() {
        check(doing_);
        const auto n = static_cast<std::size_t>(result);
        for (std::size_t i = 0; i < n; ++i) {
            out_[i].size = batch_.headers[i].msg_len;
            out_[i].truncated = (batch_.headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
            note_sender(out_[i].from, batch_.headers[i].msg_hdr);
        }
        return n;
    }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "receive_many"; }

private:
    std::span<incoming_datagram<Endpoint>> out_;
    const char* doing_;
    message_batch batch_;
};

template <class Endpoint>
class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] send_many_operation final : public outgoing_operation {
public:
    send_many_operation(stream_core& core, std::span<const outgoing_datagram<Endpoint>> datagrams) noexcept
        : outgoing_operation(core, io_opcode::send_messages), datagrams_(datagrams) {}
    send_many_operation(send_many_operation&& o) noexcept : outgoing_operation(std::move(o)), datagrams_(o.datagrams_) {}
    [[nodiscard]] bool try_now() const {
        if (!core_->is_open()) throw_closed("send on");
        return datagrams_.empty();
    }
    bool begin() override { return try_now() || start(); }
    void take() const {
        if (closed_) throw_closed("send on");
        if (error == 0) return;
        const Endpoint& to = datagrams_[sent_].to;
        throw io_error(error, "send to",
                       (is_destination(to) ? to.to_string() : core_->name()) + " (datagram " + std::to_string(sent_ + 1) + " of " +
                           std::to_string(datagrams_.size()) + ")");
    }
    /// Datagrams that had gone out when it was cancelled.
    [[nodiscard]] std::size_t partial() const noexcept { return sent_; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "send_many"; }

private:
    bool drive() override {
        do {
            const auto rest = datagrams_.subspan(sent_);
            length = std::min(rest.size(), most_messages);
            for (std::size_t i = 0; i < length; ++i) address(batch_.add(i, rest[i].bytes), rest[i].to);
            buffer = batch_.headers.data();
            if (!submit()) return false;
        } while (!advance());
        return true;
    }
    bool advance() noexcept override {
        if (error != 0) return true;
        sent_ += static_cast<std::size_t>(result);
        return sent_ == datagrams_.size();
    }
    std::span<const outgoing_datagram<Endpoint>> datagrams_;
    std::size_t sent_ = 0;
    message_batch batch_;
};

} // namespace detail
} // namespace eddy
