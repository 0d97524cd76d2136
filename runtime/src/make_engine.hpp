// Which engine a loop gets.
#pragma once

#include <memory>

#include <eddy/detail/engine.hpp>
#include <eddy/detail/mailbox.hpp>

namespace eddy::detail {

/// `automatic` asks EDDY_ENGINE, then takes the best there is. Throws `std::invalid_argument` for unknown or unavailable ones.
/// `io_context`: of others, to run inside, whatever the environment says; or null.
[[nodiscard]] std::shared_ptr<engine> make_engine(engine_kind wanted, const std::shared_ptr<mailbox>& mail, engine_host& host, void* io_context);

} // namespace eddy::detail
