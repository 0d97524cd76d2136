#include <eddy/coro.hpp>
#include <eddy/detail/sole_reader.hpp>
#include <eddy/testing.hpp>

#include <string>

#include "lib/words.hpp"

using namespace eddy;

TEST_CASE("a second reader is refused and named what it read from, and the first one keeps its place") {
    bool reading = false;
    {
        const detail::sole_reader first(reading, "the thing");
        CHECK(reading);
        const std::string end = words::of_call([&] {
            const detail::sole_reader second(reading, "the thing");
            return 0;
        });
        CHECK(end == "another task is already reading from the thing");
        const auto read_again = [&] {
            const detail::sole_reader third(reading, "the thing");
            return 0;
        };
        CHECK(words::throws<busy_resource>(read_again));
        CHECK(reading);
    }
    CHECK_FALSE(reading);
    const detail::sole_reader next(reading, "the thing");
    CHECK(reading);
}
