#include "options.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "../number.hpp"

namespace thumbnails {

namespace {

using samples::parse_number;

std::vector<std::string> parse_scale(std::string_view text) {
    const options defaults;
    if (text == "all") return defaults.scales;
    if (std::find(defaults.scales.begin(), defaults.scales.end(), text) == defaults.scales.end())
        throw std::invalid_argument("--scale: '" + std::string(text) + "' is none of loop, threads, processes, jobs, all");
    return {std::string(text)};
}

void set_option(options& o, std::string_view name, std::string_view value) {
    if (name == "--scale")
        o.scales = parse_scale(value);
    else if (name == "--width")
        o.width = parse_number<std::uint32_t>(name, value, 1, 65'535);
    else if (name == "--workers")
        o.workers = parse_number<std::size_t>(name, value, 1, 1000);
    else if (name == "--timeout")
        o.timeout = std::chrono::seconds(parse_number<int>(name, value, 1, 86'400));
    else if (name == "--url")
        o.url = value;
    else if (name == "--make")
        o.make = parse_number<std::size_t>(name, value, 1, 9999);
    else if (name == "--size")
        o.size = parse_number<std::uint32_t>(name, value, 8, 8192);
    else
        throw std::invalid_argument("there is no option '" + std::string(name) + "'");
}

} // namespace

options parse_options(std::span<char*> arguments) {
    options o;
    std::vector<std::string> folders;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view name = arguments[i];
        if (!name.starts_with("--")) {
            folders.emplace_back(name);
            continue;
        }
        if (i + 1 == arguments.size()) throw std::invalid_argument("'" + std::string(name) + "' needs a value, or is no option");
        set_option(o, name, arguments[++i]);
    }
    const std::size_t wanted = o.make != 0 ? 1 : 2;
    if (folders.size() != wanted) throw std::invalid_argument(wanted == 1 ? "--make takes one folder" : "two folders are needed: with the pictures, and for the thumbnails");
    o.from = folders.front();
    o.to = folders.back();
    if (o.workers == 0) o.workers = std::max(1U, std::thread::hardware_concurrency());
    return o;
}

} // namespace thumbnails
