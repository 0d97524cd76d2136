#include "functions.hpp"

#include <eddy/process_pool.hpp>

namespace remote_test {
std::string in_a_static_library(const std::string& text) { return text + " of a library"; }
} // namespace remote_test
EDDY_REMOTE(remote_test::in_a_static_library)
