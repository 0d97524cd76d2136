// The component tls: a context, and a handshake that finds nobody at the other end.
#include <eddy/eddy.hpp>
#include <eddy/tls.hpp>

#include <cstdio>
#include <string>

namespace {

eddy::task<> main_task() {
    eddy::tls_context context = eddy::tls_context::client();
    eddy::tcp_listener listener = eddy::tcp_listener::bind({"127.0.0.1", 0});
    eddy::tcp_stream below = co_await eddy::tcp_connect(listener.local_endpoint());
    {
        eddy::tcp_stream gone = co_await listener.accept();
    }
    bool refused = false;
    try {
        eddy::tls_stream stream = co_await eddy::tls_upgrade(std::move(below), context, "localhost");
    } catch (const std::exception&) { // truncated, or a reset
        refused = true;
    }
    std::printf("tls %s\n", refused ? "ok" : "wrong");
}

}  // namespace

int main() { return eddy::run_main(main_task()); }
