#include <eddy/detail/sole_reader.hpp>

#include <string>

#include <eddy/errors.hpp>

namespace eddy::detail {

void throw_already_reading(std::string_view what) {
    throw busy_resource("another task is already reading from " + std::string(what));
}

} // namespace eddy::detail
