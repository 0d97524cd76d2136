// SCM_RIGHTS: descriptors that travel with bytes.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/detail/stream_core.hpp>

namespace eddy {

/// Descriptors that came from a peer. Closes those that nobody has taken.
class descriptor_list {
public:
    descriptor_list() noexcept = default;
    explicit descriptor_list(std::vector<int> owned) noexcept : owned_(std::move(owned)) {}
    descriptor_list(descriptor_list&& o) noexcept : owned_(std::exchange(o.owned_, {})) {}
    descriptor_list& operator=(descriptor_list o) noexcept {
        std::swap(owned_, o.owned_);
        return *this;
    }
    ~descriptor_list();

    [[nodiscard]] std::size_t size() const noexcept { return owned_.size(); }
    [[nodiscard]] bool empty() const noexcept { return owned_.empty(); }
    /// Still ours; -1 where it was taken.
    [[nodiscard]] int operator[](std::size_t i) const noexcept { return owned_[i]; }
    /// It is the caller's from now on: `unix_stream s(list.take(0));`
    [[nodiscard]] int take(std::size_t i) noexcept { return std::exchange(owned_[i], -1); }

private:
    std::vector<int> owned_;
};

/// What `receive_descriptors` gives.
class received_descriptors {
public:
    received_descriptors(std::size_t n, descriptor_list d, bool t) noexcept : size(n), descriptors(std::move(d)), truncated(t) {}
    std::size_t size; // bytes in the buffer; 0 at the end of the stream
    descriptor_list descriptors;
    bool truncated; // more came, but this process has as many open as it may: those are lost
};

namespace detail {

inline constexpr std::size_t most_descriptors = 253; // SCM_MAX_FD of Linux

/// Room for the control message of `most_descriptors`.
struct control_room {
    alignas(cmsghdr) std::array<std::byte, 1040> bytes;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] send_descriptors_operation final : public outgoing_operation {
public:
    send_descriptors_operation(stream_core& core, std::span<const std::byte> bytes, std::span<const int> descriptors) noexcept
        : outgoing_operation(core, io_opcode::send_message), bytes_(bytes), descriptors_(descriptors) {}
    send_descriptors_operation(send_descriptors_operation&& o) noexcept
        : outgoing_operation(std::move(o)), bytes_(o.bytes_), descriptors_(o.descriptors_) {}
    [[nodiscard]] bool try_now() const;
    bool begin() override { return try_now() || start(); }
    void take() const { check("send descriptors to"); }
    [[nodiscard]] std::size_t partial() const noexcept { return written_; }
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "send descriptors"; }

private:
    bool drive() override;
    bool advance() noexcept override;
    [[nodiscard]] bool torn() const noexcept override { return written_ > 0; }
    std::span<const std::byte> bytes_;
    std::span<const int> descriptors_;
    std::size_t written_ = 0;
    iovec part_{};
    msghdr message_{};
    control_room room_;
};

class [[nodiscard("an operation does nothing until it is awaited: write co_await")]] receive_descriptors_operation final : public incoming_operation {
public:
    receive_descriptors_operation(stream_core& core, std::span<std::byte> out) noexcept
        : incoming_operation(core, io_opcode::receive_message), out_(out) {}
    receive_descriptors_operation(receive_descriptors_operation&& o) noexcept : incoming_operation(std::move(o)), out_(o.out_) {}
    [[nodiscard]] bool try_now() const {
        expect_open("read from");
        return out_.empty();
    }
    bool start();
    bool begin() override { return try_now() || start(); }
    [[nodiscard]] received_descriptors take();
    [[nodiscard]] std::string_view waits_for() const noexcept override { return "receive descriptors"; }

private:
    std::span<std::byte> out_;
    iovec part_{};
    msghdr message_{};
    control_room room_;
};

} // namespace detail
} // namespace eddy
