#include "options.hpp"

#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "../number.hpp"

namespace download_manager {

namespace {

using samples::parse_number;

std::string parse_sha256(std::string_view text) {
    std::string hex(text);
    for (char& c : hex)
        if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
        throw std::invalid_argument(fmt::format("--sha256: '{}' is not 64 hexadecimal digits", text));
    return hex;
}

// The last part of the path; never one that leads out of the directory, nor one that confuses a terminal.
std::string file_name(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) throw std::invalid_argument(fmt::format("'{}' is no URL and no option", url));
    url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find_first_of("?#"));
    const std::size_t slash = url.rfind('/');
    std::string name(slash == std::string_view::npos ? std::string_view() : url.substr(slash + 1));
    for (char& c : name)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
    return name.empty() || name == "." || name == ".." ? "index.html" : name;
}

void set_option(options& o, std::string_view name, std::string_view value) {
    if (name == "--directory")
        o.directory = value;
    else if (name == "--parallel")
        o.parallel = parse_number<std::ptrdiff_t>(name, value, 1, 1000);
    else if (name == "--piece")
        o.piece = parse_number<std::uint64_t>(name, value, 1, std::uint64_t{1} << 30U);
    else if (name == "--max-whole")
        o.max_whole = parse_number<std::size_t>(name, value, 1, std::size_t{1} << 40U);
    else if (name == "--attempts")
        o.attempts = parse_number<int>(name, value, 1, 1000);
    else if (name == "--pause")
        o.pause = std::chrono::milliseconds(parse_number<int>(name, value, 0, 3'600'000));
    else if (name == "--timeout")
        o.timeout = std::chrono::seconds(parse_number<int>(name, value, 1, 86'400));
    else if (name == "--sha256" && o.jobs.empty())
        throw std::invalid_argument("--sha256 comes behind its URL");
    else if (name == "--sha256")
        o.jobs.back().expected = parse_sha256(value);
    else
        throw std::invalid_argument(fmt::format("there is no option '{}'", name));
}

} // namespace

options parse_options(std::span<char*> arguments) {
    options o;
    while (!arguments.empty()) {
        const std::string_view name = arguments.front();
        arguments = arguments.subspan(1);
        if (name.starts_with("--")) {
            if (arguments.empty())
                throw std::invalid_argument(fmt::format("'{}' needs a value, or is no option", name));
            set_option(o, name, arguments.front());
            arguments = arguments.subspan(1);
        } else {
            job& j = o.jobs.emplace_back();
            j.url = name;
            j.name = file_name(name);
        }
    }
    if (o.jobs.empty()) throw std::invalid_argument("there is no URL");
    if (o.max_whole < o.piece) throw std::invalid_argument("--max-whole is less than --piece");
    for (job& j : o.jobs) {
        j.path = o.directory + "/" + j.name;
        for (const job& other : o.jobs)
            if (&other != &j && other.name == j.name)
                throw std::invalid_argument(fmt::format("'{}' and '{}' would be one file", other.url, j.url));
    }
    return o;
}

} // namespace download_manager
