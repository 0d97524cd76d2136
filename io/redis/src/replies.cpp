#include "replies.hpp"

#include <utility>

#include <eddy/redis/error.hpp>

namespace eddy::redis::detail {

std::string transaction_wire(const pipeline& commands) {
    std::string wire;
    append_command(wire, "MULTI");
    wire += commands.wire();
    append_command(wire, "EXEC");
    return wire;
}

std::optional<std::vector<value>> transaction_replies(std::vector<value> replies) {
    value& executed = replies.back();
    if (executed.is_nil()) return std::nullopt;
    if (!executed.is_error()) return executed.take_array();
    for (const value& v : replies) // EXECABORT only says that there was one before
        if (v.is_error()) throw error("transaction", v.error_text());
    return std::nullopt; // not reached: the last one is an error
}

task<std::vector<value>> no_replies() {
    co_return std::vector<value>();
}

} // namespace eddy::redis::detail
