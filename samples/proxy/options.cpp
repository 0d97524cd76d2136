#include "options.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include <eddy/endpoint.hpp>

#include "../number.hpp"

namespace port_proxy {

namespace {

using samples::parse_number;

std::chrono::seconds parse_seconds(std::string_view name, std::string_view text) {
    return std::chrono::seconds(parse_number<std::uint32_t>(name, text, 0, 1'000'000));
}

// HOST:PORT, [V6]:PORT.
target parse_target(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0)
        throw std::invalid_argument("--forward: '" + std::string(text) + "' is not HOST:PORT");
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    return {std::string(host), parse_number<std::uint16_t>("--forward", text.substr(colon + 1), 0, 65535)};
}

void set_option(options& o, std::string_view name, std::string_view value) {
    if (name == "--port")
        o.port = parse_number<std::uint16_t>(name, value, 0, 65535);
    else if (name == "--address")
        o.address = value;
    else if (name == "--forward")
        o.forward = parse_target(value);
    else if (name == "--user")
        o.user = value;
    else if (name == "--max-connections")
        o.max_connections = parse_number<std::uint32_t>(name, value, 0, 1'000'000);
    else if (name == "--idle-timeout")
        o.idle_timeout = parse_seconds(name, value);
    else if (name == "--connect-timeout")
        o.connect_timeout = parse_seconds(name, value);
    else if (name == "--grace")
        o.grace = parse_seconds(name, value);
    else
        throw std::invalid_argument("there is no option '" + std::string(name) + "'");
}

} // namespace

options parse_options(std::span<char*> arguments) {
    options o;
    bool port_given = false;
    bool socks5 = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (name == "--socks5") {
            socks5 = true;
            arguments = arguments.subspan(1);
            continue;
        }
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        set_option(o, name, arguments[1]);
        port_given = port_given || name == "--port";
        arguments = arguments.subspan(2);
    }
    if (!port_given) throw std::invalid_argument("--port is missing");
    if (socks5 == o.forward.has_value()) throw std::invalid_argument("either --forward HOST:PORT or --socks5");
    if (o.user) {
        if (!socks5) throw std::invalid_argument("--user is for --socks5");
        const char* password = std::getenv("PROXY_PASSWORD");
        if (!password)
            throw std::invalid_argument("--user: the password is expected in the environment variable PROXY_PASSWORD");
        o.password = password;
    }
    static_cast<void>(eddy::ip_endpoint(o.address, o.port)); // throws, naming the text, if it is no address
    return o;
}

} // namespace port_proxy
