#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <climits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

int option_of(int fd, int level, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    ::getsockopt(fd, level, option, &value, &size);
    return value;
}

int window_scale_of(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_rcv_wscale;
}

std::string device_of(int fd) {
    std::array<char, IFNAMSIZ> name{};
    socklen_t size = IFNAMSIZ;
    if (::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), &size) != 0) return "?";
    return name.data();
}

} // namespace

EDDY_TEST("an IPv6 listener takes IPv4 too if it is dual-stack, and else does not") {
    tcp_listener both = tcp_listener::bind({"::", 0}, {.dual_stack = true});
    const std::uint16_t port = both.local_endpoint().port();
    tcp_stream c = co_await tcp_connect({"127.0.0.1", port});
    tcp_stream s = co_await both.accept();
    CHECK(s.remote_endpoint().address() == "::ffff:127.0.0.1");
    tcp_listener six = tcp_listener::bind({"::1", 0});
    CHECK(option_of(six.native_handle(), IPPROTO_IPV6, IPV6_V6ONLY) == 1);
    CHECK(option_of(both.native_handle(), IPPROTO_IPV6, IPV6_V6ONLY) == 0);
}

EDDY_TEST("buffer sizes of a listener are those of its connections, and of one connection can be changed") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0}, {.receive_buffer_size = 50'000, .send_buffer_size = 40'000});
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    CHECK(s.receive_buffer_size() == 100'000); // Linux doubles it
    CHECK(s.send_buffer_size() == 80'000);
    s.set_send_buffer_size(20'000);
    s.set_receive_buffer_size(30'000);
    CHECK(s.send_buffer_size() == 40'000);
    CHECK(s.receive_buffer_size() == 60'000);
}

// The only limit whose end can be seen here: a peer that takes nothing keeps the kernel asking for room, by timers of its own, the first
// of which is due after some 200 ms. For the end by keep-alive a peer has to vanish without a word, which nobody does on loopback
// without root, and the shortest time is 1 s.
EDDY_TEST_REAL("a peer that takes nothing for longer than the user timeout is given up") {
    connection p = co_await connected();
    p.client.set_user_timeout(1ms);
    const std::string much(20'000'000, 'x');
    const std::string end = co_await words::ending(p.client.write(much));
    CHECK(end.ends_with(": Connection timed out"));
}

EDDY_TEST("keep-alive has its times, and the wait for acknowledgements a limit") {
    connection p = co_await connected();
    const int fd = p.client.native_handle();
    CHECK(option_of(fd, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    p.client.set_keep_alive({.idle = 30s, .interval = 5s, .probes = 3});
    CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 30);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL) == 5);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT) == 3);
    p.client.set_keep_alive(false);
    CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 0);
    p.client.set_user_timeout(20s);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 20'000);
    p.client.set_user_timeout(std::chrono::milliseconds(INT_MAX));
    CHECK(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == INT_MAX);
    CHECK(words::of_call([&] { p.client.set_user_timeout(-1ms); return 0; }) == "set_user_timeout: -1 ms are not between 0 and 2147483647");
    CHECK(words::throws<std::invalid_argument>([&] { p.client.set_user_timeout(std::chrono::milliseconds(1LL << 32)); return 0; }));
    CHECK(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == INT_MAX);
    CHECK(words::throws<std::system_error>([&] { p.client.set_keep_alive({.idle = std::chrono::seconds((1LL << 32) + 5)}); return 0; }));
    CHECK(words::of_call([&] { p.client.set_keep_alive({.idle = 0s}); return 0; }) ==
          "set_keep_alive: times and probes must be positive; set_keep_alive(false) turns it off");
}

EDDY_TEST("keep-alive of a listener is that of its connections") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0}, {.keep_alive = keep_alive_options{.idle = 31s, .interval = 7s, .probes = 4}});
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    const int fd = s.native_handle();
    CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 31);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL) == 7);
    CHECK(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT) == 4);
    CHECK(option_of(c.native_handle(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    tcp_listener without = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream other = co_await tcp_connect(without.local_endpoint());
    tcp_stream plain = co_await without.accept();
    CHECK(option_of(plain.native_handle(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    CHECK(words::of_call([] { return tcp_listener::bind({"127.0.0.1", 0}, {.keep_alive = keep_alive_options{.probes = 0}}); }) ==
          "listen_options::keep_alive: times and probes must be positive");
}

EDDY_TEST("a listener that is bound to a device hears what comes in there") {
    CHECK(words::of_call([] { return tcp_listener::bind({"127.0.0.1", 0}, {.bind_to_device = "nothing0"}); }) ==
          "bind to device nothing0: No such device");
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0}, {.bind_to_device = "lo"});
    tcp_stream c = co_await tcp_connect(l.local_endpoint());
    tcp_stream s = co_await l.accept();
    CHECK(s.is_open());
}

EDDY_TEST("tcp_connect: buffer sizes are there before the connect, and a device is bound to") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream sized = co_await tcp_connect(l.local_endpoint(), {.receive_buffer_size = 50'000, .send_buffer_size = 40'000});
    CHECK(sized.receive_buffer_size() == 100'000); // Linux doubles it
    CHECK(sized.send_buffer_size() == 80'000);
    std::string device = "lo";
    auto connecting = tcp_connect(l.local_endpoint(), {.bind_to_device = device});
    device = "gone"; // the call has a copy
    tcp_stream bound = co_await std::move(connecting);
    CHECK(device_of(bound.native_handle()) == "lo");
    auto by_name = tcp_connect("localhost", l.local_endpoint().port(), {.family = address_family::ipv4, .bind_to_device = "lo"});
    tcp_stream named = co_await std::move(by_name);
    CHECK(device_of(named.native_handle()) == "lo");
    tcp_stream anywhere = co_await tcp_connect(l.local_endpoint());
    CHECK(window_scale_of(sized.native_handle()) < window_scale_of(anywhere.native_handle())); // what the peer was told
    CHECK(device_of(anywhere.native_handle()) == "");
    outcome<tcp_stream> missing = co_await as_result(tcp_connect(l.local_endpoint(), {.bind_to_device = "nothing0"}));
    CHECK(words::holds<connect_error>(missing.exception()));
    CHECK(missing.error() == std::errc::no_such_device);
}

EDDY_TEST("options of a closed stream are refused by name") {
    connection p = co_await connected();
    const std::string peer = p.client.remote_endpoint().to_string();
    co_await p.client.close();
    CHECK(words::of_call([&] { p.client.set_nodelay(true); return 0; }) == peer + " was closed on our side");
    CHECK(words::throws<closed_resource>([&] { return p.client.receive_buffer_size(); }));
    CHECK(words::of_call([] { return tcp_stream().send_buffer_size(); }) == "this tcp_stream has no socket");
}
