// embed_websocketpp: tasks beside a library on Asio that was written by others, websocketpp. Both share one io_context and one
// thread: its WebSocket server, in callbacks, and tasks that talk to it.
//
// The two halves are compiled differently, and must be: echo_server_cxx17.cpp as C++17 and with what Asio calls deprecated, since
// websocketpp needs both; all else as C++20 and with ASIO_NO_DEPRECATED, as eddy itself.
#include <cstdio>
#include <exception>

#include <eddy/asio.hpp>
#include <eddy/event_loop.hpp>

#include "echo_server.hpp"
#include "guest.hpp"

int main() {
    try {
        asio::io_context io;
        echo_server host(io);
        eddy::event_loop loop{io};
        loop.run_until_complete(visit(host)); // instead of io.run()
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "embed_websocketpp: %s\n", e.what());
        return 1;
    }
}
