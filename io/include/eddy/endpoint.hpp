// ip_endpoint: an IPv4 or IPv6 address and a port. address_family: which of the two.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct sockaddr;

namespace eddy {

enum class address_family : unsigned char { any, ipv4, ipv6 };
/// "IPv4", "IPv6"; "any family".
[[nodiscard]] std::string_view to_string(address_family f) noexcept;

class ip_endpoint {
public:
    /// 0.0.0.0:0.
    ip_endpoint() noexcept;
    /// A literal address ("127.0.0.1", "::1", "fe80::1%eth0") and a port. Throws `std::invalid_argument`, naming the text,
    /// if the address is not a literal: names are looked up by `resolve`.
    ip_endpoint(std::string_view address, std::uint16_t port);
    ip_endpoint(const char* address, std::uint16_t port) : ip_endpoint(std::string_view(address), port) {}

    [[nodiscard]] std::string address() const;
    [[nodiscard]] std::uint16_t port() const noexcept;
    [[nodiscard]] bool is_v6() const noexcept;
    [[nodiscard]] address_family family() const noexcept { return is_v6() ? address_family::ipv6 : address_family::ipv4; }
    /// The same address with another port.
    [[nodiscard]] ip_endpoint with_port(std::uint16_t port) const noexcept;
    /// "127.0.0.1:80", "[::1]:80".
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] friend bool operator==(const ip_endpoint& a, const ip_endpoint& b) noexcept { return a.same_as(b); }

    // For system calls.
    [[nodiscard]] sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(storage_.data()); }
    [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(storage_.data()); }
    [[nodiscard]] std::size_t size() const noexcept;
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return 28; } // of a sockaddr_in6

private:
    [[nodiscard]] bool same_as(const ip_endpoint& o) const noexcept;
    alignas(8) std::array<std::byte, 28> storage_{};
};

} // namespace eddy
