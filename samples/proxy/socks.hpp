// The conversation with a SOCKS5 client, up to the connection that it wants.
#pragma once

#include <exception>

#include <eddy/buffered_reader.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>

#include "options.hpp"
#include "socks_messages.hpp"

namespace port_proxy::socks {

/// Reads to the end of each message and no further, so that what comes after them stays in it.
using reader = eddy::buffered_reader<eddy::tcp_stream>;

/// How it may use us: as it likes, or if `o` has a user, with that name and password. Throws `refusal` when the client has been told.
eddy::task<> agree_on_method(reader& in, eddy::tcp_stream& out, const options& o);
/// Whom to connect to. Throws `refusal` when the client has been told.
eddy::task<target> read_request(reader& in, eddy::tcp_stream& out);
eddy::task<> send_reply(eddy::tcp_stream& out, reply code, eddy::ip_endpoint bound = {});

/// Why there is no connection, in the words of RFC 1928.
[[nodiscard]] reply code_for(const std::exception_ptr& why);

} // namespace port_proxy::socks
