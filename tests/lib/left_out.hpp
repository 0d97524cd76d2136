// A test that needs what not every machine has says that it is left out. Catch2 2.13 has no such outcome: it is a warning, so that
// the test passes. With EDDY_TEST_REQUIRE_ALL in the environment, as .ci/full sets it, it is a failure: nothing is left out unseen there.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include <eddy/testing.hpp>

namespace tests {

/// `why`: what the machine lacks. The caller ends its test.
inline void left_out(std::string_view why) {
    const char* const required = std::getenv("EDDY_TEST_REQUIRE_ALL");
    const std::string text = "left out: " + std::string(why);
    if (required && *required)
        FAIL_CHECK(text + " (EDDY_TEST_REQUIRE_ALL is set)");
    else
        WARN(text);
}

} // namespace tests
