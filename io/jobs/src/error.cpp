#include <eddy/jobs/error.hpp>

#include "text.hpp"

namespace eddy::jobs {

namespace {

/// "bad thing, 42"
std::string joined_arguments(const json& arguments) {
    if (!arguments.is_array()) return detail::dump_json(arguments);
    std::string text;
    for (const json& a : arguments) {
        if (!text.empty()) text += ", ";
        text += a.is_string() ? a.get<std::string>() : detail::dump_json(a);
    }
    return text;
}

} // namespace

task_failed::task_failed(std::string type, json arguments, std::string traceback)
    : error(type + ": " + joined_arguments(arguments)), type_(std::move(type)), arguments_(std::move(arguments)), traceback_(std::move(traceback)) {}
failure::failure(std::in_place_t, std::string type, json arguments)
    : std::runtime_error(type + ": " + joined_arguments(arguments)), type_(std::move(type)), arguments_(std::move(arguments)) {}
retry_request::retry_request(std::string reason, std::optional<std::chrono::nanoseconds> countdown)
    : std::runtime_error(std::move(reason)), countdown_(countdown) {}

} // namespace eddy::jobs
