#include <eddy/tls_stream.hpp>

namespace eddy {
namespace detail {

void tls_link_base::require_open(const char* doing) const {
    if (!is_open()) throw closed_resource(std::string("TLS ") + doing + " " + session.peer() + ": it was closed on our side");
}

void tls_link_base::require_writable() const {
    require_open("write to");
    if (lost) std::rethrow_exception(lost);
    if (torn != torn_write::none) throw broken_by(torn, "TLS write to " + session.peer());
    if (write_shut) throw std::logic_error("TLS write to " + session.peer() + " after shutdown_write");
}

namespace {

task<tls_stream> connect_and_shake_hands(std::string host, std::uint16_t port, tls_session session, std::chrono::nanoseconds connect_timeout,
                                         std::chrono::nanoseconds handshake_timeout, std::chrono::nanoseconds shutdown_timeout,
                                         std::source_location site) {
    tcp_stream below = co_await tcp_connect(std::move(host), port, {.timeout = connect_timeout}, site);
    auto link = std::make_shared<tls_link<tcp_stream>>(std::move(below), std::move(session), shutdown_timeout);
    tls_stream stream = co_await establish<tcp_stream>(std::move(link), handshake_timeout, site);
    co_return stream;
}

} // namespace
} // namespace detail

task<tls_stream> tls_connect(std::string host, std::uint16_t port, tls_context context, tls_options options, std::source_location site) {
    const std::string name = options.server_name.empty() ? host : std::string(options.server_name);
    detail::tls_session session = detail::tls_session::client(context, name, host + ":" + std::to_string(port));
    return detail::connect_and_shake_hands(std::move(host), port, std::move(session), options.connect_timeout, options.handshake_timeout,
                                           options.shutdown_timeout, site);
}

} // namespace eddy
