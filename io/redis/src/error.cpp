#include <eddy/redis/error.hpp>

#include <algorithm>

namespace eddy::redis {
namespace {

[[nodiscard]] std::string error_text(std::string_view command, std::string_view reply, std::string_view endpoint) {
    std::string text = "redis";
    if (!command.empty()) text.append(" ").append(command);
    if (!endpoint.empty()) text.append(" at ").append(endpoint);
    text.append(": ");
    for (const char c : reply) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c; // it must not forge lines of a log
    return text;
}

[[nodiscard]] std::string loss_text(std::string_view endpoint, std::string_view command, std::string_view cause, bool maybe_executed) {
    std::string text(endpoint);
    if (!command.empty()) text.append(", ").append(command);
    text.append(": ").append(cause);
    if (!command.empty()) text += maybe_executed ? " (the command may have been executed)" : " (the command was not sent)";
    return text;
}

} // namespace

error::error(std::string_view command, std::string_view reply, std::string_view endpoint)
    : std::runtime_error(error_text(command, reply, endpoint)),
      texts_(std::make_shared<const texts>(texts{std::string(command), std::string(reply), std::min(reply.find(' '), reply.size())})) {}

connection_lost::connection_lost(std::string_view endpoint, std::string_view command, std::string_view cause, std::error_code code,
                                 bool maybe_executed)
    : std::system_error(code),
      texts_(std::make_shared<const texts>(texts{std::string(endpoint), loss_text(endpoint, command, cause, maybe_executed)})),
      maybe_executed_(maybe_executed) {}

} // namespace eddy::redis
