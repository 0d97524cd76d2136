// TCP echo on 127.0.0.1:PORT; prints READY, serves until killed.  usage: bench_echo PORT [--engine native|asio]
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <system_error>

#include <eddy/eddy.hpp>

#include "engine_argument.hpp"

using namespace eddy;

namespace {

task<> echo(tcp_stream s) {
    try {
        for (;;) {
            const borrowed_bytes got = co_await s.read_borrowed();
            if (got.empty()) co_return;
            co_await s.write(got);
        }
    } catch (const std::system_error&) { // the client is gone
    }
}

task<> serve_port(std::uint16_t port) {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", port}, {.backlog = 4096});
    std::puts("READY");
    std::fflush(stdout);
    co_await serve(l, echo);
}

} // namespace

int main(int argc, char** argv) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    run_options options;
    options.engine = bench::engine_argument(argc, argv, 2);
    return run_main(serve_port(static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 9000)), options);
}
