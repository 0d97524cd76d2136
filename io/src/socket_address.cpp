#include <eddy/socket_address.hpp>

#include <sys/socket.h>

#include <cstring>
#include <stdexcept>

namespace eddy {

static_assert(sizeof(sockaddr_storage) <= socket_address::capacity());

socket_address::socket_address(const ip_endpoint& e) noexcept : size_(e.size()) {
    std::memcpy(storage_.data(), e.data(), e.size());
}

socket_address::socket_address(const unix_endpoint& e) noexcept : size_(e.size()) {
    std::memcpy(storage_.data(), e.data(), e.size());
}

socket_address::socket_address(const void* address, std::size_t size) : size_(size) {
    if (size > capacity() || size < sizeof(sa_family_t))
        throw std::invalid_argument("socket_address: " + std::to_string(size) + " bytes are no address; it has 2 to 128");
    std::memcpy(storage_.data(), address, size);
}

bool socket_address::empty() const noexcept {
    return size_ <= sizeof(sa_family_t);
}

int socket_address::family() const noexcept {
    return size_ < sizeof(sa_family_t) ? AF_UNSPEC : data()->sa_family;
}

std::optional<ip_endpoint> socket_address::ip() const noexcept {
    const int f = family();
    if (f != AF_INET && f != AF_INET6) return std::nullopt;
    ip_endpoint e;
    e.data()->sa_family = static_cast<sa_family_t>(f); // which says the size
    if (size_ < e.size()) return std::nullopt;
    std::memcpy(e.data(), storage_.data(), e.size());
    return e;
}

std::optional<unix_endpoint> socket_address::unix_path() const noexcept {
    if (family() != AF_UNIX || size_ > unix_endpoint::capacity()) return std::nullopt;
    unix_endpoint e;
    std::memcpy(e.data(), storage_.data(), size_);
    e.resize(size_);
    return e;
}

std::string socket_address::to_string() const {
    if (const std::optional<ip_endpoint> e = ip()) return e->to_string();
    if (const std::optional<unix_endpoint> e = unix_path()) return e->to_string();
    return empty() ? "no address" : "an address of family " + std::to_string(family());
}

bool socket_address::same_as(const socket_address& o) const noexcept {
    if (const std::optional<ip_endpoint> mine = ip()) {
        const std::optional<ip_endpoint> theirs = o.ip();
        return theirs && *mine == *theirs;
    }
    if (const std::optional<unix_endpoint> mine = unix_path()) {
        const std::optional<unix_endpoint> theirs = o.unix_path();
        return theirs && *mine == *theirs;
    }
    return size_ == o.size_ && std::memcmp(storage_.data(), o.storage_.data(), size_) == 0;
}

} // namespace eddy
