// background and background_map with a process_pool.
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <eddy/process_pool.hpp>

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "io/pool_functions.hpp"

using namespace eddy;
using namespace std::chrono_literals;
using namespace pool_functions;

namespace {

/// Its attempts are counted in a file.
int succeeds_third(std::string file) {
    std::ofstream(file, std::ios::app).put('x');
    const auto size = std::ifstream(file, std::ios::ate).tellg();
    if (size < 3) throw std::runtime_error("not yet");
    return static_cast<int>(size);
}
EDDY_REMOTE(succeeds_third)
int reports_to_listener(int n) {
    for (int i = 1; i <= n; ++i) report_progress(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(n));
    return n;
}
EDDY_REMOTE(reports_to_listener)
int refuses_two(int x) {
    if (x == 2) throw std::runtime_error("two");
    return x;
}
EDDY_REMOTE(refuses_two)
bool somebody_listens() { return progress_wanted(); }
EDDY_REMOTE(somebody_listens)

} // namespace

EDDY_TEST("process_pool: background on_processes retries, maps and tells its progress") {
    process_pool pp{2};
    const std::string file = "/tmp/eddy-attempts-" + std::to_string(::getpid());
    background_options options;
    options.retry = retry_policy{.attempts = 5};
    const int third = co_await background(on_processes(pp), options, succeeds_third, file);
    ::unlink(file.c_str());
    CHECK(third == 3);
    std::vector<int> in{1, 2, 3};
    const std::vector<int> all = co_await background_map(on_processes(pp), twice, in);
    CHECK(all == std::vector<int>{2, 4, 6});
    const auto ends = co_await background_map_outcomes(on_processes(pp), refuses_two, in);
    REQUIRE(ends.size() == 3);
    CHECK(ends[0].value() == 1);
    CHECK_FALSE(ends[1].has_value());
    CHECK(ends[2].value() == 3);
    bool listens = co_await background(on_processes(pp), somebody_listens);
    CHECK_FALSE(listens);
    std::uint64_t heard = 0;
    progress_listener listener([&](const progress_report& p) { heard = p.done; });
    const auto listening = listener.listen();
    listens = co_await background(on_processes(pp), somebody_listens);
    CHECK(listens);
    for (const int n : {1, 10, 20'000}) { // more than the socket has room for
        static_cast<void>(co_await background(on_processes(pp), reports_to_listener, n));
        CHECK(heard == static_cast<std::uint64_t>(n));
    }
}

EDDY_TEST_REAL("process_pool: background on_processes with a time limit ends the function") {
    process_pool pp{{.workers = 1, .kill_grace = 10ms}};
    co_await pp.start();
    bool late = false;
    try {
        co_await background(on_processes(pp), {.timeout = 20ms}, hang);
    } catch (const timeout_error&) {
        late = true;
    }
    CHECK(late);
    CHECK(pp.stats().ended_by_us == 1);
}
