// socket_address: an address of any family, for sockets that have no type of their own (<eddy/raw_socket.hpp>).
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include <eddy/endpoint.hpp>
#include <eddy/unix_endpoint.hpp>

struct sockaddr;

namespace eddy {

/// What a sockaddr says, and how much of it is used:
///     sockaddr_nl kernel{};
///     kernel.nl_family = AF_NETLINK;
///     socket_address to(&kernel, sizeof kernel);
class socket_address {
public:
    /// None: what a connected stream or a socket without a name gives.
    socket_address() noexcept = default;
    socket_address(const ip_endpoint& e) noexcept;
    socket_address(const unix_endpoint& e) noexcept;
    /// Copies a sockaddr_… of that size. `std::invalid_argument` if it is longer than 128 bytes, or too short to say a family.
    socket_address(const void* address, std::size_t size);

    /// Does it say nothing but a family, or not even that?
    [[nodiscard]] bool empty() const noexcept;
    /// AF_INET, AF_NETLINK, …; AF_UNSPEC if there is none.
    [[nodiscard]] int family() const noexcept;
    /// As what it is, if it is that.
    [[nodiscard]] std::optional<ip_endpoint> ip() const noexcept;
    [[nodiscard]] std::optional<unix_endpoint> unix_path() const noexcept;
    /// "127.0.0.1:80", "/tmp/x.sock", "an address of family 16", "no address".
    [[nodiscard]] std::string to_string() const;
    /// Byte by byte, less what follows a path or an IP address.
    [[nodiscard]] friend bool operator==(const socket_address& a, const socket_address& b) noexcept { return a.same_as(b); }

    // For system calls.
    [[nodiscard]] sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(storage_.data()); }
    [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(storage_.data()); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return 128; } // of a sockaddr_storage
    void resize(std::size_t n) noexcept { size_ = n < capacity() ? n : capacity(); }

private:
    [[nodiscard]] bool same_as(const socket_address& o) const noexcept;
    alignas(8) std::array<std::byte, 128> storage_{};
    std::size_t size_ = 0;
};

} // namespace eddy
