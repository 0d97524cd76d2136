// What has to be known of a host and a service before they are looked up.
#pragma once

#include <optional>
#include <string>

#include <eddy/endpoint.hpp>
#include <eddy/resolve.hpp>

namespace eddy::detail {

/// The endpoint, if the host is an address and the service a number.
[[nodiscard]] std::optional<ip_endpoint> literal_endpoint(const std::string& host, const std::string& service);
/// Throws `resolve_error` for what the C library would read differently: cut off at a NUL, a port modulo 65536, "" as port 0. And
/// for an address of another family than was asked for.
void check_look_up(const std::string& host, const std::string& service, const resolve_options& options);

} // namespace eddy::detail
