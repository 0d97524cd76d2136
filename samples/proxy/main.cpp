// proxy: passes connections on, to one place or to wherever a SOCKS5 client asks for.
//
//     proxy --port N --forward HOST:PORT                 everything that comes in goes to HOST:PORT
//     proxy --port N --socks5 [--user NAME]              RFC 1928; with --user clients have to log in by RFC 1929
//     and: [--address A] [--max-connections N] [--idle-timeout S] [--connect-timeout S] [--grace S]
//     (a timeout or a number of 0: no limit)
//
// Prints "PORT n" and then "READY" when it listens, on 127.0.0.1 unless told otherwise; N = 0 lets the kernel pick a
// port. Ctrl-C or SIGTERM: no more connections are taken, those that are there may end within the grace period, and
// then it tells what it has done. A second one ends it at once.
//
// The password is in the environment variable PROXY_PASSWORD: command lines can be read by every user of the machine.
//
// Try it with: curl --socks5-hostname 127.0.0.1:PORT http://example.org/
//
// What it needs for a connection is known beforehand: one task with two more inside it, two sockets, and a pipe each way, in
// which the kernel keeps what is under way (64 KiB at most; where descriptors run out, a buffer of that size). A side that
// does not read holds the other side up, instead of filling memory here.
//
// socks_messages.hpp has what SOCKS5 looks like on the wire, socks.hpp the conversation, relay.hpp the two directions, and proxy.hpp
// puts them together.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <utility>

#include <eddy/run.hpp>
#include <eddy/serve.hpp>
#include <eddy/tcp.hpp>
#include <eddy/with_cleanup.hpp>

#include "counters.hpp"
#include "options.hpp"
#include "proxy.hpp"

namespace {

using namespace port_proxy;
using namespace std::chrono_literals;

eddy::task<> serve_proxy(const options& o) {
    proxy p(o);
    const eddy::ip_endpoint where(o.address, o.port);
    eddy::tcp_listener listener = eddy::tcp_listener::bind(where);
    std::printf("PORT %d\nREADY\n", int{listener.local_endpoint().port()});
    std::fflush(stdout);

    // Above the limit nobody is refused: they wait in the kernel's queue until somebody has left.
    eddy::server server(std::move(listener), [&p](eddy::tcp_stream client) { return p.handle(std::move(client)); },
                        {.max_connections = o.max_connections});
    server.start();
    // Ctrl-C cancels this task, and that alone: the server is a task of its own. So the wait ends, and the cleanup lets
    // the connections end, too; those that do not are cancelled. Everything has ended when it is over.
    auto finish = [&]() -> eddy::task<> {
        co_await server.shutdown(o.grace);
        print_summary(p.numbers());
    };
    co_await eddy::with_cleanup([&] { return server.join(); }, finish, o.grace + 2s);
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
        // What we wait for is bounded by our own grace period, which is shorter than that of the loop.
        return eddy::run_main(serve_proxy(o), {.grace = o.grace + 5s});
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "proxy: %s\n%s", e.what(), usage);
        return 2;
    }
}
