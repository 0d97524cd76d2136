#include "functions.hpp"

#include <eddy/process_pool.hpp>

namespace remote_test {
int in_a_shared_library(int x) { return x + 100; }
EDDY_REMOTE(in_a_shared_library)
} // namespace remote_test
