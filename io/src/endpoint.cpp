#include <eddy/endpoint.hpp>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <stdexcept>

namespace eddy {
namespace {

static_assert(sizeof(sockaddr_in6) <= ip_endpoint::capacity());

const sockaddr_in& v4(const ip_endpoint& e) noexcept {
    return *reinterpret_cast<const sockaddr_in*>(e.data());
}
const sockaddr_in6& v6(const ip_endpoint& e) noexcept {
    return *reinterpret_cast<const sockaddr_in6*>(e.data());
}

bool parse_v6(const std::string& text, sockaddr_in6& out) {
    const std::size_t percent = text.find('%');
    const std::string host = text.substr(0, percent);
    if (::inet_pton(AF_INET6, host.c_str(), &out.sin6_addr) != 1) return false;
    if (percent == std::string::npos) return true;
    out.sin6_scope_id = ::if_nametoindex(text.c_str() + percent + 1);
    return out.sin6_scope_id != 0;
}

} // namespace

std::string_view to_string(address_family f) noexcept {
    switch (f) {
    case address_family::ipv4: return "IPv4";
    case address_family::ipv6: return "IPv6";
    case address_family::any: break;
    }
    return "any family";
}

ip_endpoint::ip_endpoint() noexcept {
    reinterpret_cast<sockaddr_in*>(data())->sin_family = AF_INET;
}

ip_endpoint::ip_endpoint(std::string_view address, std::uint16_t port) {
    const std::string text(address);
    const bool cut_off = text.find('\0') != std::string::npos; // inet_pton would not see the rest
    auto& four = *reinterpret_cast<sockaddr_in*>(data());
    if (!cut_off && ::inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        return;
    }
    auto& six = *reinterpret_cast<sockaddr_in6*>(data());
    if (cut_off || !parse_v6(text, six))
        throw std::invalid_argument("'" + text + "' is not an IP address; names are looked up with resolve() or tcp_connect()");
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
}

bool ip_endpoint::is_v6() const noexcept {
    return data()->sa_family == AF_INET6;
}

std::uint16_t ip_endpoint::port() const noexcept {
    return ntohs(is_v6() ? v6(*this).sin6_port : v4(*this).sin_port);
}

ip_endpoint ip_endpoint::with_port(std::uint16_t port) const noexcept {
    ip_endpoint e = *this;
    if (is_v6()) reinterpret_cast<sockaddr_in6*>(e.data())->sin6_port = htons(port);
    else reinterpret_cast<sockaddr_in*>(e.data())->sin_port = htons(port);
    return e;
}

std::size_t ip_endpoint::size() const noexcept {
    return is_v6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

std::string ip_endpoint::address() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (is_v6()) {
        ::inet_ntop(AF_INET6, &v6(*this).sin6_addr, text.data(), text.size());
        std::string out(text.data());
        std::array<char, IF_NAMESIZE> interface{};
        const unsigned scope = v6(*this).sin6_scope_id;
        if (scope != 0 && ::if_indextoname(scope, interface.data())) out.append("%").append(interface.data());
        return out;
    }
    ::inet_ntop(AF_INET, &v4(*this).sin_addr, text.data(), text.size());
    return text.data();
}

std::string ip_endpoint::to_string() const {
    const std::string host = is_v6() ? "[" + address() + "]" : address();
    return host + ":" + std::to_string(port());
}

bool ip_endpoint::same_as(const ip_endpoint& o) const noexcept {
    if (is_v6() != o.is_v6() || port() != o.port()) return false;
    if (is_v6())
        return std::memcmp(&v6(*this).sin6_addr, &v6(o).sin6_addr, sizeof(in6_addr)) == 0 && v6(*this).sin6_scope_id == v6(o).sin6_scope_id;
    return v4(*this).sin_addr.s_addr == v4(o).sin_addr.s_addr;
}

} // namespace eddy
