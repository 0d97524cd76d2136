#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "lib/words.hpp"

using namespace eddy;

EDDY_TEST("socket_address: IP and Unix-domain addresses are what they were") {
    const socket_address four = ip_endpoint("127.0.0.1", 80);
    CHECK(four.family() == AF_INET);
    CHECK(four.to_string() == "127.0.0.1:80");
    CHECK(four.ip() == ip_endpoint("127.0.0.1", 80));
    CHECK(!four.unix_path());
    const socket_address six = ip_endpoint("::1", 80);
    CHECK(six.family() == AF_INET6);
    CHECK(six.ip() == ip_endpoint("::1", 80));
    CHECK_FALSE(four == six);
    const socket_address path = unix_endpoint("/tmp/x.sock");
    CHECK(path.family() == AF_UNIX);
    CHECK(path.to_string() == "/tmp/x.sock");
    CHECK(path.unix_path() == unix_endpoint("/tmp/x.sock"));
    CHECK(path == socket_address(path.data(), path.size()));
    CHECK_FALSE(path.empty());
    co_return;
}

EDDY_TEST("socket_address: one of any other family, and none") {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    const socket_address a(&kernel, sizeof kernel);
    CHECK(a.family() == AF_NETLINK);
    CHECK(a.size() == sizeof kernel);
    CHECK(a.to_string() == "an address of family 16");
    CHECK(a == socket_address(&kernel, sizeof kernel));
    kernel.nl_pid = 1;
    CHECK_FALSE(a == socket_address(&kernel, sizeof kernel));
    const socket_address none;
    CHECK(none.empty());
    CHECK(none.family() == AF_UNSPEC);
    CHECK(none.to_string() == "no address");
    CHECK_FALSE(none == a);
    co_return;
}

EDDY_TEST("socket_address: what can be none is refused") {
    const std::array<char, 200> much{};
    CHECK(words::of_call([&] { return socket_address(much.data(), 129); }) == "socket_address: 129 bytes are no address; it has 2 to 128");
    CHECK(words::throws<std::invalid_argument>([&] { return socket_address(much.data(), 1); }));
    const socket_address cut(ip_endpoint("127.0.0.1", 80).data(), 8); // too short for what its family says
    CHECK(!cut.ip());
    CHECK(cut.to_string() == "an address of family 2");
    co_return;
}
