#include <eddy/resolve.hpp>

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include <eddy/detail/look_up_pool.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/offload.hpp>

#include "look_up.hpp"

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

int native_family(address_family f) noexcept {
    switch (f) {
    case address_family::ipv4: return AF_INET;
    case address_family::ipv6: return AF_INET6;
    case address_family::any: break;
    }
    return AF_UNSPEC;
}

addrinfo hints_for(const resolve_options& o) noexcept {
    addrinfo hints{};
    hints.ai_family = native_family(o.family);
    hints.ai_socktype = o.datagram ? SOCK_DGRAM : SOCK_STREAM; // one of them: else each address would come three times
    if (o.passive) hints.ai_flags |= AI_PASSIVE;
    if (o.numeric_host) hints.ai_flags |= AI_NUMERICHOST;
    if (o.numeric_service) hints.ai_flags |= AI_NUMERICSERV;
    return hints;
}

/// "cannot look up 'a.test' (service 80, IPv6 only)".
std::string failed_look_up(const std::string& host, const std::string& service, address_family f) {
    std::string text = "cannot look up '" + host + "' (service " + service;
    if (f != address_family::any) text.append(", ").append(to_string(f)).append(" only");
    return text + ")";
}

std::vector<ip_endpoint> look_up_now(const std::string& host, const std::string& service, const resolve_options& o) {
    addrinfo hints = hints_for(o);
    const char* const name = host.empty() && o.passive ? nullptr : host.c_str();
    addrinfo* found = nullptr;
    int code = EAI_NONAME;
    if (!o.passive) { // who listens says what happens where the machine has no address
        hints.ai_flags |= AI_ADDRCONFIG;
        code = ::getaddrinfo(name, service.c_str(), &hints, &found);
        hints.ai_flags &= ~AI_ADDRCONFIG;
    }
    if (code == EAI_NONAME || code == EAI_ADDRFAMILY) // a machine with nothing but loopback has no configured address
        code = ::getaddrinfo(name, service.c_str(), &hints, &found);
    if (code != 0) {
        const int system_error = errno;
        const std::string what = failed_look_up(host, service, o.family);
        if (code == EAI_SYSTEM) throw resolve_error(system_error, std::generic_category(), what);
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

// A failure as a value: whoever was cancelled while it came does not want to hear of it.
struct look_up_result {
    std::vector<ip_endpoint> endpoints;
    std::exception_ptr error;
};

// On a worker.
look_up_result look_up(const std::string& host, const std::string& service, const resolve_options& options) {
    try {
        return {look_up_now(host, service, options), nullptr};
    } catch (...) {
        return {{}, std::current_exception()};
    }
}

struct name_result {
    resolved_name name;
    std::exception_ptr error;
};

resolved_name name_now(const ip_endpoint& e) {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    const auto size = static_cast<socklen_t>(e.size());
    const int code = ::getnameinfo(e.data(), size, host.data(), host.size(), service.data(), service.size(), 0);
    if (code == 0) return {host.data(), service.data()};
    const int system_error = errno;
    const std::string what = "cannot look up the name of " + e.to_string();
    if (code == EAI_SYSTEM) throw resolve_error(system_error, std::generic_category(), what);
    throw resolve_error(code, resolve_category(), what);
}

// On a worker.
name_result name_of(const ip_endpoint& e) {
    try {
        return {name_now(e), nullptr};
    } catch (...) {
        return {{}, std::current_exception()};
    }
}

} // namespace

namespace detail {

std::optional<ip_endpoint> literal_endpoint(const std::string& host, const std::string& service) {
    const std::optional<std::uint16_t> port = port_number(service);
    if (!port) return std::nullopt;
    try {
        return ip_endpoint(host, *port);
    } catch (const std::invalid_argument&) {
        return std::nullopt;
    }
}

void check_look_up(const std::string& host, const std::string& service, const resolve_options& options) {
    const char* wrong = nullptr;
    if (host.find('\0') != std::string::npos || service.find('\0') != std::string::npos) wrong = "there is a NUL in it";
    const bool number = service.find_first_not_of("0123456789") == std::string::npos;
    if (number && !port_number(service)) wrong = "the service is neither a port nor a name";
    if (wrong)
        throw resolve_error(EAI_SERVICE, resolve_category(),
                            std::string("cannot look up '") + host.c_str() + "' (service " + service.c_str() + "): " + wrong); // no NUL in it
    if (options.family == address_family::any) return;
    const std::optional<ip_endpoint> literal = literal_endpoint(host, "0");
    if (!literal || literal->family() == options.family) return;
    const std::string is(to_string(literal->family()));
    throw resolve_error(EAI_ADDRFAMILY, resolve_category(), failed_look_up(host, service, options.family) + ": it is an " + is + " address");
}

} // namespace detail

const std::error_category& resolve_category() noexcept {
    static const getaddrinfo_category category;
    return category;
}

task<std::vector<ip_endpoint>> resolve(std::string host, std::string service, resolve_options options) {
    detail::check_look_up(host, service, options);
    if (const std::optional<ip_endpoint> e = detail::literal_endpoint(host, service)) co_return std::vector<ip_endpoint>(1, *e);
    worker_pool& pool = detail::look_up_pool(this_loop());
    const look_up_result found = co_await offload(pool, abandon, &look_up, std::move(host), std::move(service), options);
    if (found.error) std::rethrow_exception(found.error);
    co_return found.endpoints;
}

task<resolved_name> resolve_name(ip_endpoint endpoint) {
    worker_pool& pool = detail::look_up_pool(this_loop());
    const name_result found = co_await offload(pool, abandon, &name_of, endpoint);
    if (found.error) std::rethrow_exception(found.error);
    co_return found.name;
}

} // namespace eddy
