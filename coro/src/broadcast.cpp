#include <eddy/broadcast.hpp>

#include <string>

namespace eddy {

lagged::lagged(std::uint64_t missed)
    : std::runtime_error("a subscriber was too slow and missed " + std::to_string(missed) + (missed == 1 ? " value" : " values")),
      missed_(missed) {}

} // namespace eddy
