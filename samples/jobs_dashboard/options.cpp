#include "options.hpp"

#include <stdexcept>
#include <string_view>

#include <eddy/endpoint.hpp>

#include "../number.hpp"

namespace jobs_dashboard {

namespace {

bool is_redis(std::string_view url) {
    for (const std::string_view scheme : {"redis://", "rediss://", "unix://", "redis+socket://"})
        if (url.starts_with(scheme)) return true;
    return false;
}

void set_option(options& o, std::string_view name, std::string value) {
    if (name == "--url") o.url = std::move(value);
    else if (name == "--results") o.results = std::move(value);
    else if (name == "--key-prefix") o.key_prefix = std::move(value);
    else if (name == "--queue") o.queues.push_back(std::move(value));
    else if (name == "--address") o.address = std::move(value);
    else if (name == "--host") o.hosts.push_back(std::move(value));
    else if (name == "--port") o.port = samples::parse_number<std::uint16_t>(name, value, 0, 65535);
    else if (name == "--heartbeat") o.heartbeat = std::chrono::seconds(samples::parse_number<int>(name, value, 1, 3600));
    else throw std::invalid_argument("there is no option '" + std::string(name) + "'");
}

} // namespace

options parse_options(std::span<char*> arguments) {
    options o;
    for (; !arguments.empty(); arguments = arguments.subspan(1)) {
        const std::string_view name = arguments.front();
        if (name == "--help") o.help = true;
        else if (name == "--no-enable-events") o.enable_events = false;
        else if (name == "--read-only") o.read_only = true;
        else {
            if (arguments.size() < 2) throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
            arguments = arguments.subspan(1);
            set_option(o, name, arguments.front());
        }
    }
    if (o.help) return o;
    if (o.url.empty()) throw std::invalid_argument("--url is missing");
    if (!is_redis(o.url)) throw std::invalid_argument("--url: events are there with Redis only, redis://HOST[:PORT][/DB]");
    static_cast<void>(eddy::ip_endpoint(o.address, o.port)); // throws, naming the text, if it is no address
    return o;
}

} // namespace jobs_dashboard
