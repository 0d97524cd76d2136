#include <eddy/detail/look_up_pool.hpp>
#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <netdb.h>

#include <string>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;

EDDY_TEST("a literal address is not looked up") {
    const auto found = co_await resolve("127.0.0.1", "80");
    REQUIRE(found.size() == 1);
    CHECK(found[0] == ip_endpoint("127.0.0.1", 80));
    const auto six = co_await resolve("::1", "0");
    REQUIRE(six.size() == 1);
    CHECK(six[0] == ip_endpoint("::1", 0));
    CHECK(this_loop().stats().pool_jobs == 0);
}

EDDY_TEST("a literal address with a service name gets the service's port") {
    outcome<std::vector<ip_endpoint>> found = co_await as_result(resolve("127.0.0.1", "http"));
    if (!found) {
        tests::left_out("this machine has no list of services: " + words::of(found));
        co_return;
    }
    REQUIRE(found->size() == 1);
    CHECK((*found)[0] == ip_endpoint("127.0.0.1", 80));
}

EDDY_TEST("resolve: a service of UDP alone is found for a datagram socket, and only there") {
    servent* const known = ::getservbyname("tftp", "udp");
    if (!known || ::getservbyname("tftp", "tcp")) {
        tests::left_out("this machine's list of services does not have tftp for UDP alone");
        co_return;
    }
    const auto found = co_await resolve("127.0.0.1", "tftp", {.datagram = true});
    REQUIRE(found.size() == 1);
    CHECK(found[0] == ip_endpoint("127.0.0.1", 69));
    outcome<std::vector<ip_endpoint>> stream = co_await as_result(resolve("127.0.0.1", "tftp"));
    CHECK(words::holds<resolve_error>(stream.exception()));
    resolver_cache names;
    outcome<std::vector<ip_endpoint>> cached = co_await as_result(names.resolve("127.0.0.1", "tftp"));
    CHECK(words::holds<resolve_error>(cached.exception()));
    const auto by_cache = co_await names.resolve("127.0.0.1", "tftp", {.datagram = true});
    REQUIRE(by_cache.size() == 1);
    CHECK(by_cache[0] == ip_endpoint("127.0.0.1", 69));
    const auto datagram_by_cache = co_await names.resolve("localhost", "80", {.family = address_family::ipv4, .datagram = true});
    const auto again = co_await names.resolve("localhost", "80", {.family = address_family::ipv4});
    CHECK(datagram_by_cache == again);
    CHECK(names.stats().hits == 0); // answers for the one are not answers for the other
}

EDDY_TEST("localhost is a loopback address") {
    const auto found = co_await resolve("localhost", "80");
    REQUIRE(!found.empty());
    for (const ip_endpoint& e : found) {
        const bool loopback = e.address() == "::1" || e.address().starts_with("127.");
        CHECK(loopback);
        CHECK(e.port() == 80);
    }
}

EDDY_TEST("what cannot be looked up is a resolve_error that names host and service") {
    outcome<std::vector<ip_endpoint>> name = co_await as_result(resolve("no-such-host.invalid", "80"));
    CHECK(words::holds<resolve_error>(name.exception()));
    CHECK(words::of(name).starts_with("cannot look up 'no-such-host.invalid' (service 80): "));
    outcome<std::vector<ip_endpoint>> service = co_await as_result(resolve("127.0.0.1", "no-such-service"));
    CHECK(words::holds<resolve_error>(service.exception()));
    CHECK(service.error().category() == resolve_category());
    outcome<std::vector<ip_endpoint>> port = co_await as_result(resolve("127.0.0.1", "70000"));
    const bool refused_or_wrapped = !port || port->size() == 1; // glibc takes the number modulo 65536
    CHECK(refused_or_wrapped);
    outcome<std::vector<ip_endpoint>> nothing = co_await as_result(resolve("", ""));
    CHECK(!nothing);
}

EDDY_TEST("resolve: addresses of one family alone") {
    const auto four = co_await resolve("localhost", "80", {.family = address_family::ipv4});
    REQUIRE(!four.empty());
    for (const ip_endpoint& e : four) CHECK(e.family() == address_family::ipv4);
    outcome<std::vector<ip_endpoint>> six = co_await as_result(resolve("localhost", "80", {.family = address_family::ipv6}));
    if (!six) {
        CHECK(words::holds<resolve_error>(six.exception())); // a machine may call only 127.0.0.1 so
        CHECK(words::of(six).starts_with("cannot look up 'localhost' (service 80, IPv6 only): "));
        co_return;
    }
    REQUIRE(!six->empty());
    for (const ip_endpoint& e : *six) CHECK(e.family() == address_family::ipv6);
}

EDDY_TEST("resolve: a literal address of the family is taken, of the other one it is an error that names it, and nothing is looked up") {
    const auto six = co_await resolve("::1", "80", {.family = address_family::ipv6});
    REQUIRE(six.size() == 1);
    CHECK(six[0] == ip_endpoint("::1", 80));
    outcome<std::vector<ip_endpoint>> four = co_await as_result(resolve("127.0.0.1", "80", {.family = address_family::ipv6}));
    CHECK(words::holds<resolve_error>(four.exception()));
    CHECK(words::of(four).starts_with("cannot look up '127.0.0.1' (service 80, IPv6 only): it is an IPv4 address: "));
    outcome<std::vector<ip_endpoint>> named = co_await as_result(resolve("::1", "http", {.family = address_family::ipv4}));
    CHECK(words::of(named).starts_with("cannot look up '::1' (service http, IPv4 only): it is an IPv6 address: "));
    CHECK(this_loop().stats().pool_jobs == 0);
}

EDDY_TEST("resolve: to listen on, an empty host is every address of the machine, and else it is an error") {
    const auto all = co_await resolve("", "8080", {.family = address_family::ipv4, .passive = true});
    REQUIRE(all.size() == 1);
    CHECK(all[0] == ip_endpoint("0.0.0.0", 8080));
    outcome<std::vector<ip_endpoint>> nothing = co_await as_result(resolve("", "8080"));
    CHECK(words::holds<resolve_error>(nothing.exception()));
}

EDDY_TEST("resolve: where an address is expected a name is an error, and is not looked up in the network") {
    outcome<std::vector<ip_endpoint>> name = co_await as_result(resolve("localhost", "80", {.numeric_host = true}));
    CHECK(words::of(name).starts_with("cannot look up 'localhost' (service 80): "));
    outcome<std::vector<ip_endpoint>> service = co_await as_result(resolve("127.0.0.1", "http", {.numeric_service = true}));
    CHECK(words::of(service).starts_with("cannot look up '127.0.0.1' (service http): "));
    const auto found = co_await resolve("127.0.0.1", "80", {.numeric_host = true, .numeric_service = true});
    CHECK(found.size() == 1);
}

EDDY_TEST("look-ups run beside each other and off the loop") {
    std::vector<task<std::vector<ip_endpoint>>> all;
    for (int i = 0; i < 40; ++i) all.push_back(resolve("localhost", std::to_string(1000 + i)));
    const auto found = co_await gather(std::move(all));
    CHECK(found.size() == 40);
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i].front().port() == 1000 + i);
}

EDDY_TEST("R4 a look-up that is cancelled leaves at once; what becomes of it concerns nobody") {
    auto h = spawn(resolve("no-such-host.invalid", "80"));
    while (this_loop().stats().pool_jobs == 0) co_await this_task::yield();
    h.cancel();
    co_await h.join();
    CHECK(h.cancelled());
}

EDDY_TEST("what is no port and no name is refused, and not read as another port") {
    for (const std::string service : {"65536", "99999", ""}) {
        const auto r = co_await as_result(resolve("localhost", service));
        CHECK(words::of(r).find("the service is neither a port nor a name") != std::string::npos);
    }
    const auto r = co_await as_result(resolve(std::string("localhost\0.example.org", 22), "80"));
    CHECK(words::of(r).find("there is a NUL in it") != std::string::npos);
}

EDDY_TEST("resolve_name: an address and a port, and their names or themselves") {
    const resolved_name local = co_await resolve_name({"127.0.0.1", 9});
    CHECK_FALSE(local.host.empty());
    const bool named_or_number = local.service == "discard" || local.service == "9";
    CHECK(named_or_number);
    const resolved_name six = co_await resolve_name({"::1", 65000});
    CHECK_FALSE(six.host.empty());
    CHECK(six.service == "65000");
}

EDDY_TEST("R4 resolve_name: cancelled, it leaves at once") {
    io_test::blocked_pool pool(detail::look_up_pool(this_loop()));
    co_await pool.block();
    auto h = spawn(resolve_name({"127.0.0.1", 80}));
    co_await io_test::some_turns();
    CHECK_FALSE(h.done());
    co_await h.cancel_and_join();
    CHECK(h.cancelled());
    co_await pool.release();
}

EDDY_TEST("look-ups that hang hold up other look-ups, which may be cancelled meanwhile, and no file") {
    io_test::blocked_pool pool(detail::look_up_pool(this_loop()));
    co_await pool.block();
    auto waiting = spawn(resolve("localhost", "80"));
    auto given_up = spawn(resolve("localhost", "81"));
    const io_test::temporary_folder folder;
    co_await write_file(folder.file("file"), std::string("text"));
    const std::string text = co_await read_file(folder.file("file"));
    CHECK(text == "text");
    CHECK_FALSE(waiting.done());
    co_await given_up.cancel_and_join();
    CHECK(given_up.cancelled());
    co_await pool.release();
    const auto found = co_await waiting;
    CHECK_FALSE(found.empty());
}
