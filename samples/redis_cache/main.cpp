// redis_cache: a cache in memory that speaks the Redis protocol (RESP2), with pipelining and inline commands.
//
//     redis_cache --port N [--max-memory BYTES] [--max-value BYTES] [--max-clients N]
//
// Prints "PORT n" and then "READY" when it listens; N = 0 lets the kernel pick a port. Try it with: redis-cli -p PORT, or
// redis-benchmark -p PORT -t ping,set,get,incr,mset. Ctrl-C ends it when the commands that it has read are answered.
//
// It knows strings, with times to live, and forgets what was not used for longest when there is too much. Read resp.hpp (a parser
// that knows nothing of sockets), store.hpp (which knows nothing of the protocol), commands.hpp, and in the end server.cpp, where the
// coroutines are.
#include <cstddef>
#include <cstdio>
#include <span>
#include <stdexcept>

#include <eddy/run.hpp>
#include <eddy/task.hpp>

#include "options.hpp"
#include "server.hpp"

namespace {

eddy::task<> serve_cache(redis_cache::options o) {
    redis_cache::cache_server server(o);
    co_await server.run();
}

} // namespace

int main(int argc, char** argv) {
    try {
        const redis_cache::options o = redis_cache::parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        return eddy::run_main(serve_cache(o));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "redis_cache: %s\nusage: redis_cache --port N [--max-memory BYTES] [--max-value BYTES] [--max-clients N]\n",
                     e.what());
        return 2;
    }
}
