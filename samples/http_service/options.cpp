#include "options.hpp"

#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include <eddy/endpoint.hpp>

#include "../number.hpp"

namespace http_service {

namespace {

using samples::parse_number;

std::chrono::seconds parse_seconds(std::string_view name, std::string_view text) {
    return std::chrono::seconds(parse_number<std::uint32_t>(name, text, 0, 3600));
}

void set_option(options& o, std::string_view name, std::string_view value) {
    if (name == "--port")
        o.port = parse_number<std::uint16_t>(name, value, 0, 65535);
    else if (name == "--address")
        o.address = value;
    else if (name == "--files")
        o.files = value;
    else if (name == "--tls-clients")
        o.client_authorities = value;
    else if (name == "--drain")
        o.drain = parse_seconds(name, value);
    else if (name == "--grace")
        o.grace = parse_seconds(name, value);
    else
        throw std::invalid_argument(fmt::format("there is no option '{}'", name));
}

} // namespace

options parse_options(std::span<char*> arguments) {
    options o;
    bool port_given = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2) throw std::invalid_argument(fmt::format("'{}' needs a value, or is no option", name));
        if (name == "--tls") {
            if (arguments.size() < 3) throw std::invalid_argument("'--tls' needs two values, a certificate and a key");
            o.tls = tls_files{arguments[1], arguments[2]};
            arguments = arguments.subspan(3);
            continue;
        }
        set_option(o, name, arguments[1]);
        port_given = port_given || name == "--port";
        arguments = arguments.subspan(2);
    }
    if (!port_given) throw std::invalid_argument("--port is missing");
    if (!o.client_authorities.empty() && !o.tls) throw std::invalid_argument("--tls-clients is for --tls");
    static_cast<void>(eddy::ip_endpoint(o.address, o.port)); // throws, naming the text, if it is no address
    return o;
}

} // namespace http_service
