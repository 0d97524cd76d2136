// What client and session have in common: transactions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <eddy/redis/pipeline.hpp>
#include <eddy/redis/value.hpp>
#include <eddy/task.hpp>

namespace eddy::redis::detail {

/// The commands between MULTI and EXEC.
[[nodiscard]] std::string transaction_wire(const pipeline& commands);
/// Out of the replies to those: EXEC's items, nullopt if the server has discarded them. Throws the `error` of a command that it refused.
[[nodiscard]] std::optional<std::vector<value>> transaction_replies(std::vector<value> replies);
/// Of no commands.
[[nodiscard]] task<std::vector<value>> no_replies();

} // namespace eddy::redis::detail
