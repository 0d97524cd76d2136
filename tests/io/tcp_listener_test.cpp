#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <sys/socket.h>

#include <string>
#include <vector>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::string_view_literals;

EDDY_TEST("port 0 lets the kernel pick, and the listener says which it was") {
    tcp_listener a = tcp_listener::bind({"127.0.0.1", 0});
    tcp_listener b = tcp_listener::bind({"127.0.0.1", 0});
    CHECK(a.local_endpoint().port() != 0);
    CHECK(a.local_endpoint() != b.local_endpoint());
    co_return;
}

EDDY_TEST("a port can be bound again at once after its connections were closed") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const ip_endpoint where = l.local_endpoint();
    tcp_stream c = co_await tcp_connect(where);
    tcp_stream s = co_await l.accept();
    co_await s.close(); // our side first, so that the port is left in TIME_WAIT
    std::string end = co_await read_text(c);
    CHECK(end == "");
    co_await c.close();
    co_await l.close();
    tcp_listener again = tcp_listener::bind(where);
    CHECK(again.local_endpoint() == where);
}

EDDY_TEST("with reuse_port several listeners share a port") {
    tcp_listener a = tcp_listener::bind({"127.0.0.1", 0}, {.reuse_port = true});
    tcp_listener b = tcp_listener::bind(a.local_endpoint(), {.reuse_port = true});
    CHECK(a.local_endpoint() == b.local_endpoint());
    CHECK(words::of_call([&] { return tcp_listener::bind(a.local_endpoint()); }).ends_with("Address already in use"));
    co_return;
}

EDDY_TEST("a socket that listens already is adopted and made non-blocking and close-on-exec") {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    ip_endpoint any("127.0.0.1", 0);
    REQUIRE(::bind(fd, any.data(), static_cast<socklen_t>(any.size())) == 0);
    REQUIRE(::listen(fd, 10) == 0);
    tcp_listener l(fd);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    auto accepting = spawn([&]() -> task<> { static_cast<void>(co_await l.accept()); });
    co_await testing::settle(); // a blocking accept would never come back
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    co_await accepting;
}

EDDY_TEST("connections wait in the kernel's queue in the order in which they came") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(co_await tcp_connect(l.local_endpoint()));
    for (const tcp_stream& c : clients) {
        tcp_stream s = co_await l.accept();
        CHECK(s.remote_endpoint() == c.local_endpoint());
    }
}
