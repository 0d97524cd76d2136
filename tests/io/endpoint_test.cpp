#include <eddy/endpoint.hpp>

#include <eddy/testing.hpp>

#include <sys/socket.h>

#include <stdexcept>

#include "lib/words.hpp"

using namespace eddy;

TEST_CASE("an endpoint prints what it was made from") {
    CHECK(ip_endpoint("127.0.0.1", 80).to_string() == "127.0.0.1:80");
    CHECK(ip_endpoint("::1", 65535).to_string() == "[::1]:65535");
    CHECK(ip_endpoint("2001:db8:0:0::1", 1).address() == "2001:db8::1");
    CHECK(ip_endpoint().to_string() == "0.0.0.0:0");
    CHECK(ip_endpoint("::1", 1).is_v6());
    CHECK(!ip_endpoint("127.0.0.1", 1).is_v6());
    CHECK(ip_endpoint("127.0.0.1", 4711).port() == 4711);
}

TEST_CASE("a link-local address keeps its interface") {
    CHECK(ip_endpoint("fe80::1%lo", 80).to_string() == "[fe80::1%lo]:80");
}

TEST_CASE("endpoints are equal if address, scope and port are") {
    CHECK(ip_endpoint("127.0.0.1", 80) == ip_endpoint("127.0.0.1", 80));
    CHECK(ip_endpoint("127.0.0.1", 80) != ip_endpoint("127.0.0.1", 81));
    CHECK(ip_endpoint("127.0.0.1", 80) != ip_endpoint("127.0.0.2", 80));
    CHECK(ip_endpoint("::1", 80) == ip_endpoint("0:0:0:0:0:0:0:1", 80));
    CHECK(ip_endpoint("::1", 80) != ip_endpoint("127.0.0.1", 80));
    CHECK(ip_endpoint("fe80::1", 80) != ip_endpoint("fe80::1%lo", 80));
}

TEST_CASE("what is no address is refused by name") {
    for (const char* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "256.0.0.1", "::g", "::1%no-such-interface", "127.0.0.1 ", "[::1]"}) {
        const std::string message = words::of_call([&] { return ip_endpoint(text, 80); });
        CHECK(message == "'" + std::string(text) + "' is not an IP address; names are looked up with resolve() or tcp_connect()");
    }
    CHECK(words::throws<std::invalid_argument>([] { return ip_endpoint(std::string_view("127.0.0.1\0x", 11), 80); }));
}

TEST_CASE("the socket address has the family's size") {
    CHECK(ip_endpoint("127.0.0.1", 80).data()->sa_family == AF_INET);
    CHECK(ip_endpoint("::1", 80).data()->sa_family == AF_INET6);
    CHECK(ip_endpoint("127.0.0.1", 80).size() == 16);
    CHECK(ip_endpoint("::1", 80).size() == 28);
}
