// Which engine a loop gets.
#pragma once

#include <memory>

#include <eddy/detail/engine.hpp>

namespace eddy::detail {

/// `automatic` asks EDDY_ENGINE, then takes the best there is. Throws `std::invalid_argument` for unknown or unavailable ones.
[[nodiscard]] std::unique_ptr<engine> make_engine(engine_kind wanted, int wake_fd);

} // namespace eddy::detail
