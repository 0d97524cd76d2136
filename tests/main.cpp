// The main() of the test programs, with Catch2 2 only (CATCH_CONFIG_MAIN is defined by tests/CMakeLists.txt).
#include <catch2/catch.hpp>
