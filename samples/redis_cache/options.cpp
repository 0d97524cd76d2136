#include "options.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

#include "../number.hpp"

namespace redis_cache {

options parse_options(std::span<char*> arguments) {
    constexpr std::size_t gigabyte = std::size_t{1} << 30;
    options o;
    bool has_port = false;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        if (arguments.size() < 2)
            throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        const std::string_view value = arguments[1];
        arguments = arguments.subspan(2);
        if (name == "--port") {
            o.port = samples::parse_number<std::uint16_t>(name, value, 0, 65535);
            has_port = true;
        } else if (name == "--max-memory") {
            o.max_memory = samples::parse_number<std::size_t>(name, value, 1000, 1024 * gigabyte);
        } else if (name == "--max-value") {
            o.max_value = samples::parse_number<std::size_t>(name, value, 1, gigabyte / 2);
        } else if (name == "--max-clients") {
            o.max_clients = samples::parse_number<std::size_t>(name, value, 1, 100'000);
        } else {
            throw std::invalid_argument("there is no option '" + std::string(name) + "'");
        }
    }
    if (!has_port) throw std::invalid_argument("--port is missing");
    return o;
}

} // namespace redis_cache
