// What the connections of one server share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include <eddy/detail/ready_list.hpp>
#include <eddy/http/server.hpp>

#include "connection.hpp"
#include "request_parser.hpp"

namespace eddy::http::detail {

// Held by the server and by each of its connections, since these may unwind after the server is gone.
class server_state {
public:
    server_state(handler_function h, const server_options& o) : handler(std::move(h)), options(o), server_name(o.server_name) {
        if (!is_field_value(server_name)) throw std::invalid_argument("http::server: there is a line break or a NUL in the server's name");
        options.server_name = server_name;
    }
    server_state(const server_state&) = delete;
    server_state& operator=(const server_state&) = delete;
    ~server_state() = default;

    [[nodiscard]] std::size_t max_header() const noexcept {
        constexpr std::size_t unlimited = std::size_t{1} << 31; // of a head; it is held in memory
        return options.max_header != 0 ? options.max_header : unlimited;
    }
    [[nodiscard]] std::uint64_t max_body() const noexcept {
        return options.max_body != 0 ? options.max_body : std::numeric_limits<std::uint64_t>::max();
    }
    /// Ends idle connections now, and those that speak another protocol, the others after the request they serve.
    void drain() noexcept {
        stopping = true;
        for (connection* c = connections.front(); c; c = connections.next(*c)) c->stop_soon();
    }

    handler_function handler;
    wrapper_function wrapper;
    access_function access;
    server_options options;
    std::string server_name;
    bool stopping = false;
    std::size_t served = 0;      // connections
    std::size_t turned_away = 0; // that are being told so
    eddy::detail::intrusive_list<connection, &connection::link> connections;
};

} // namespace eddy::http::detail
