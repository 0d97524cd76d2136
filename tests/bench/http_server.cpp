// An HTTP server that answers everything with the same 100 bytes; prints READY, serves until killed.
// usage: bench_http_server PORT [--engine native|asio]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <eddy/http/server.hpp>
#include <eddy/run.hpp>
#include <eddy/sleep.hpp>

#include "engine_argument.hpp"

using namespace eddy;

namespace {

task<http::response> answer(http::request) {
    http::response r(200, std::string(100, 'x'));
    r.headers.set("Content-Type", "text/plain");
    co_return r;
}

task<> serve_port(std::uint16_t port) {
    http::server hs{answer};
    co_await hs.listen({"127.0.0.1", port});
    std::puts("READY");
    std::fflush(stdout);
    co_await sleep_for(std::chrono::nanoseconds::max());
}

} // namespace

int main(int argc, char** argv) {
    run_options options;
    options.engine = bench::engine_argument(argc, argv, 2);
    return run_main(serve_port(static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 9000)), options);
}
