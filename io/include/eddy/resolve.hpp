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

struct resolve_options {
    address_family family = address_family::any; // the other one is not asked for
    bool passive = false;         // to listen on: an empty host is every address of this machine (AI_PASSIVE)
    bool numeric_host = false;    // the host is an address: a name is an error and is not looked up (AI_NUMERICHOST)
    bool numeric_service = false; // the same for the service (AI_NUMERICSERV)
    bool datagram = false;        // for a udp_socket: a service of that name that UDP has ("tftp"), not TCP
};

/// The endpoints of a host and a service or port number, in the order of RFC 6724; services are those of TCP, unless `datagram` is set. Literal addresses with a number
/// are not looked up; one of another family than was asked for is an error. The look-up runs on a pool for such calls;
/// cancelled while it waits for a thread it is withdrawn, afterwards it is left to itself and its result dropped. Its thread stays
/// with it until getaddrinfo returns, for 10 s and more if no name server answers. There are sixteen, so that many that hang
/// hold up other look-ups and nothing else. Families that this machine has no address of are left out, unless nothing would be
/// left, or `passive` is set. Nothing is remembered: <eddy/resolver_cache.hpp> does that. Throws `resolve_error`.
/// After POSIX getaddrinfo.
task<std::vector<ip_endpoint>> resolve(std::string host, std::string service, resolve_options options = {});

struct resolved_name {
    std::string host;    // the address as text if it has no name
    std::string service; // the port as text if it has none
};

/// The names of an address and of a TCP port. Whoever owns the address says what its name is: it proves nothing. Runs and is
/// cancelled as `resolve`. Throws `resolve_error` that names the endpoint. After POSIX getnameinfo.
task<resolved_name> resolve_name(ip_endpoint endpoint);

} // namespace eddy
