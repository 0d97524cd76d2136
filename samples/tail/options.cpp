#include "options.hpp"

#include <stdexcept>
#include <string_view>

#include "../number.hpp"

namespace file_tail {

options parse_options(std::span<char*> arguments) {
    options o;
    bool names_only = false;
    for (; !arguments.empty(); arguments = arguments.subspan(1)) {
        const std::string_view argument = arguments.front();
        if (names_only || !argument.starts_with('-')) {
            o.files.emplace_back(argument);
        } else if (argument == "--") {
            names_only = true;
        } else if (argument == "-n") {
            if (arguments.size() < 2) throw std::invalid_argument("-n needs a value");
            arguments = arguments.subspan(1);
            const std::string_view value = arguments.front();
            const auto lines = samples::to_number<std::size_t>(value);
            if (!lines) throw std::invalid_argument("-n: '" + std::string(value) + "' is no number of lines");
            o.lines = *lines;
        } else {
            throw std::invalid_argument("there is no option '" + std::string(argument) + "'");
        }
    }
    if (o.files.empty()) throw std::invalid_argument("there is no file to follow");
    return o;
}

} // namespace file_tail
