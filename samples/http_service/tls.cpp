#include "tls.hpp"

#if __has_include(<eddy/tls.hpp>)

#include <utility>

#include <eddy/tcp.hpp>
#include <eddy/tls.hpp>

namespace http_service {

// The server shakes hands in the task of each connection, so that a client who is slow at it delays nobody else; it gives up when a
// request would take it too long, too (15 s).
void speak_tls(eddy::http::server& server, const tls_files& ours, const std::string& client_authorities) {
    eddy::tls_context context = eddy::tls_context::server(ours.certificate, ours.key);
    context.alpn({"http/1.1"}); // a client that offers HTTP/2 as well learns that this is what we speak
    if (!client_authorities.empty()) context.require_client_certificate(client_authorities);
    server.wrap([context](eddy::tcp_stream plain) { return eddy::tls_accept(std::move(plain), context); });
}

} // namespace http_service

#else

#include <stdexcept>

namespace http_service {

void speak_tls(eddy::http::server&, const tls_files&, const std::string&) {
    throw std::invalid_argument("--tls: this program was built without eddy::tls");
}

} // namespace http_service

#endif
