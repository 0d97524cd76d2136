// HTTPS.
#pragma once

#include <string>

#include <eddy/http/server.hpp>

#include "options.hpp"

namespace http_service {

/// Before `server` is started. `client_authorities`: a PEM file of those who have signed the certificates of the clients; empty: clients
/// need none. Throws `tls_error` and `std::system_error`, which name the file; `std::invalid_argument` if there is no TLS in this program.
void speak_tls(eddy::http::server& server, const tls_files& ours, const std::string& client_authorities);

} // namespace http_service
