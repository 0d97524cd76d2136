// What becomes of a connection.
#pragma once

#include <string>
#include <string_view>

#include <eddy/outcome.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>

#include "counters.hpp"
#include "options.hpp"
#include "socks.hpp"

namespace port_proxy {

/// The connections share nothing but the numbers.
class proxy {
public:
    explicit proxy(const options& o) noexcept : options_(o) {}

    /// One connection, from its first byte to its end. What goes wrong is its own business: it is told, and the others
    /// go on.
    eddy::task<> handle(eddy::tcp_stream client);

    [[nodiscard]] const counters& numbers() const noexcept { return numbers_; }

private:
    eddy::task<> forward(eddy::tcp_stream& client, const std::string& who);
    eddy::task<> negotiate_and_relay(eddy::tcp_stream& client, const std::string& who);
    eddy::task<target> negotiate(socks::reader& in, eddy::tcp_stream& client);
    eddy::task<eddy::outcome<eddy::tcp_stream>> connect(const target& to, const std::string& who);
    eddy::task<> run_relay(eddy::tcp_stream& client, eddy::tcp_stream& server, const std::string& who, std::string_view read_ahead = {});

    const options& options_;
    counters numbers_;
};

} // namespace port_proxy
