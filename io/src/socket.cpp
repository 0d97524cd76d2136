#include <eddy/socket.hpp>

#include <sys/socket.h>

#include <string>

#include "socket_options.hpp"

namespace eddy {

void basic_socket::throw_no_socket() const {
    throw closed_resource(std::string("this ") + kind_ + " has no socket");
}

int basic_socket::open_descriptor() const {
    if (!core().is_open()) throw closed_resource(core().name() + " was closed on our side");
    return core().fd();
}

void basic_socket::set_receive_buffer_size(std::size_t bytes) {
    detail::set_buffer_size(open_descriptor(), SO_RCVBUF, bytes, "set_receive_buffer_size");
}
void basic_socket::set_send_buffer_size(std::size_t bytes) {
    detail::set_buffer_size(open_descriptor(), SO_SNDBUF, bytes, "set_send_buffer_size");
}
std::size_t basic_socket::receive_buffer_size() const {
    return static_cast<std::size_t>(detail::get_option(open_descriptor(), SOL_SOCKET, SO_RCVBUF, "receive_buffer_size"));
}
std::size_t basic_socket::send_buffer_size() const {
    return static_cast<std::size_t>(detail::get_option(open_descriptor(), SOL_SOCKET, SO_SNDBUF, "send_buffer_size"));
}

} // namespace eddy
