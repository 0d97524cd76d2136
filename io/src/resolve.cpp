#include <eddy/resolve.hpp>

#include <netdb.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>

namespace eddy {
namespace {

class getaddrinfo_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "getaddrinfo"; }
    [[nodiscard]] std::string message(int code) const override { return ::gai_strerror(code); }
};

std::optional<std::uint16_t> port_number(const std::string& service) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(service.data(), service.data() + service.size(), port);
    if (error != std::errc() || end != service.data() + service.size()) return std::nullopt;
    return port;
}

std::optional<ip_endpoint> literal(const std::string& host, const std::string& service) {
    const std::optional<std::uint16_t> port = port_number(service);
    if (!port) return std::nullopt;
    try {
        return ip_endpoint(host, *port);
    } catch (const std::invalid_argument&) {
        return std::nullopt;
    }
}

// On a worker.
std::vector<ip_endpoint> look_up(const std::string& host, const std::string& service) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    int code = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found);
    if (code == EAI_NONAME || code == EAI_ADDRFAMILY) { // a machine with nothing but loopback has no configured address
        hints.ai_flags = 0;
        code = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found);
    }
    if (code != 0) {
        const std::string what = "cannot look up '" + host + "' (service " + service + ")";
        if (code == EAI_SYSTEM) throw resolve_error(errno, std::generic_category(), what);
        throw resolve_error(code, resolve_category(), what);
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, &::freeaddrinfo);
    std::vector<ip_endpoint> endpoints;
    for (const addrinfo* a = found; a; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
        ip_endpoint& e = endpoints.emplace_back();
        std::memcpy(e.data(), a->ai_addr, a->ai_addrlen);
    }
    return endpoints;
}

} // namespace

const std::error_category& resolve_category() noexcept {
    static const getaddrinfo_category category;
    return category;
}

task<std::vector<ip_endpoint>> resolve(std::string host, std::string service) {
    if (const std::optional<ip_endpoint> e = literal(host, service)) co_return std::vector<ip_endpoint>(1, *e);
    worker_pool& pool = this_loop().blocking_pool();
    co_return co_await offload(pool, abandon, &look_up, std::move(host), std::move(service));
}

} // namespace eddy
