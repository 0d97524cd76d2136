#include "functions.hpp"

#include <eddy/process_pool.hpp>

namespace remote_test {
int in_another_source(int x) { return x + 10; }
EDDY_REMOTE(in_another_source) // inside a namespace

namespace {
int twice(int x) { return 3 * x; } // of the same name as one in main.cpp
EDDY_REMOTE(twice)
} // namespace
} // namespace remote_test
