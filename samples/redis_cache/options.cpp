#include "options.hpp"

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace redis_cache {

namespace {

std::size_t parse_number(std::string_view name, std::string_view text, std::size_t least, std::size_t most) {
    std::size_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size() || n < least || n > most)
        throw std::invalid_argument(std::string(name) + ": '" + std::string(text) + "' is no number from " + std::to_string(least) +
                                    " to " + std::to_string(most));
    return n;
}

} // namespace

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
            o.port = static_cast<std::uint16_t>(parse_number(name, value, 0, 65535));
            has_port = true;
        } else if (name == "--max-memory") {
            o.max_memory = parse_number(name, value, 1000, 1024 * gigabyte);
        } else if (name == "--max-value") {
            o.max_value = parse_number(name, value, 1, gigabyte / 2);
        } else if (name == "--max-clients") {
            o.max_clients = parse_number(name, value, 1, 100'000);
        } else {
            throw std::invalid_argument("there is no option '" + std::string(name) + "'");
        }
    }
    if (!has_port) throw std::invalid_argument("--port is missing");
    return o;
}

} // namespace redis_cache
