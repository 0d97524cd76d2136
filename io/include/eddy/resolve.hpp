// resolve, resolve_name: host names to addresses and back, off the loop.
#pragma once

#include <string>
#include <system_error>
#include <vector>

#include <eddy/endpoint.hpp>
#include <eddy/task.hpp>

namespace eddy {

/// Errors of getaddrinfo, with its messages.
[[nodiscard]] const std::error_category& resolve_category() noexcept;

/// A name could not be looked up. The message names host and service.
class resolve_error : public std::system_error {
public:
    using std::system_error::system_error;
};

/// The stream endpoints of a host and a service or port number, in the order of RFC 6724. Literal addresses with a number
/// are not looked up. The look-up runs on the loop's blocking pool; cancelled, it is left to itself and its result dropped.
/// Nothing is remembered: <eddy/resolver_cache.hpp> does that. Throws `resolve_error`. After POSIX getaddrinfo.
task<std::vector<ip_endpoint>> resolve(std::string host, std::string service);

struct resolved_name {
    std::string host;    // the address as text if it has no name
    std::string service; // the port as text if it has none
};

/// The names of an address and of a TCP port. Whoever owns the address says what its name is: it proves nothing. Runs and is
/// cancelled as `resolve`. Throws `resolve_error` that names the endpoint. After POSIX getnameinfo.
task<resolved_name> resolve_name(ip_endpoint endpoint);

} // namespace eddy
