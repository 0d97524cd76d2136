#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <chrono>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coro/allocations.hpp"
#include "io/support.hpp"
#include "lib/left_out.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

namespace {

task<std::vector<ip_endpoint>> answer_with(std::vector<ip_endpoint> all) {
    co_return all;
}

/// In which order the addresses of a name are tried, none of which answers.
task<std::vector<ip_endpoint>> order_of_attempts(std::vector<ip_endpoint> all, std::chrono::nanoseconds stagger) {
    resolver_cache names({}, [all](std::string, std::string) { return answer_with(all); });
    std::vector<ip_endpoint> order;
    try {
        static_cast<void>(co_await tcp_connect("a.test", 80, {.happy_eyeballs = stagger, .cache = &names}));
    } catch (const connect_error& e) {
        for (const connect_error::attempt& a : e.attempts()) order.push_back(a.endpoint);
    }
    co_return order;
}

} // namespace

EDDY_TEST("ST-26 a connect that is cancelled in flight leaves no descriptor") {
    silent_peer silent = co_await silent_peer::make();
    const std::size_t before = open_descriptors();
    auto connecting = spawn(tcp_connect(silent.endpoint()));
    co_await testing::settle();
    CHECK(open_descriptors() == before + 1);
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
    CHECK(open_descriptors() == before);
}

EDDY_TEST("ST-26 a connect that runs into its timeout names the peer and the limit, and leaves no descriptor") {
    silent_peer silent = co_await silent_peer::make();
    const std::size_t before = open_descriptors();
    std::string end = co_await words::ending(tcp_connect(silent.endpoint(), {.timeout = 3s}));
    CHECK(end.starts_with("connect to " + silent.endpoint().to_string() + " timed out after 3000 ms (timeout set at "));
    CHECK(end.find("tcp_connect_test.cpp") != std::string::npos);
    CHECK(open_descriptors() == before);
}

EDDY_TEST("ST-26 a timeout around the connect is that timeout's error, not the connect's") {
    silent_peer silent = co_await silent_peer::make();
    const auto connect = [&](cancel_scope&) { return tcp_connect(silent.endpoint(), {.timeout = 30s}); };
    outcome<tcp_stream> end = co_await as_result(with_timeout(1s, connect));
    CHECK(words::of(end).starts_with("timed out after 1000 ms"));
}

EDDY_TEST("ST-27 a refused connect is a connect_error with the one address it tried") {
    const ip_endpoint nobody = closed_port();
    outcome<tcp_stream> end = co_await as_result(tcp_connect(nobody));
    CHECK(words::holds<connect_error>(end.exception()));
    CHECK(end.error() == std::errc::connection_refused);
    CHECK(words::of(end) == "connect to " + nobody.to_string() + " failed (tried 1 address): Connection refused");
}

EDDY_TEST("ST-27 a name that is refused on all its addresses is the same type, with an attempt for each") {
    const ip_endpoint nobody = closed_port();
    const auto addresses = co_await resolve("localhost", std::to_string(nobody.port()));
    std::vector<connect_error::attempt> attempts;
    std::string text;
    try {
        static_cast<void>(co_await tcp_connect("localhost", nobody.port()));
    } catch (const connect_error& e) {
        attempts = e.attempts();
        text = e.what();
    }
    CHECK(attempts.size() == addresses.size());
    for (const connect_error::attempt& a : attempts) CHECK(a.endpoint.port() == nobody.port());
    CHECK(text.starts_with("connect to localhost:" + std::to_string(nobody.port()) + " failed (tried "));
}

EDDY_TEST("ST-27 a connect by name reaches a listener that has only the second address family") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream c = co_await tcp_connect("localhost", l.local_endpoint().port(), {.timeout = 3s});
    tcp_stream s = co_await l.accept();
    CHECK(c.remote_endpoint() == l.local_endpoint());
    CHECK(s.remote_endpoint() == c.local_endpoint());
}

EDDY_TEST("a name that does not exist is a resolve_error that says the name") {
    outcome<tcp_stream> end = co_await as_result(tcp_connect("no-such-host.invalid", 80));
    CHECK(words::holds<resolve_error>(end.exception()));
    CHECK(words::of(end).starts_with("cannot look up 'no-such-host.invalid' (service 80): "));
}

EDDY_TEST("both ends agree on their endpoints, on IPv6 too where there is one") {
    for (const char* address : {"127.0.0.1", "::1"}) {
        tcp_listener l;
        try {
            l = tcp_listener::bind({address, 0});
        } catch (const std::system_error&) {
            tests::left_out("no " + std::string(address) + " on this machine");
            continue;
        }
        tcp_stream c = co_await tcp_connect(l.local_endpoint());
        tcp_stream s = co_await l.accept();
        CHECK(c.local_endpoint() == s.remote_endpoint());
        CHECK(s.local_endpoint() == c.remote_endpoint());
        CHECK(s.local_endpoint() == l.local_endpoint());
    }
}

EDDY_TEST("a connect to a listener in the same task needs no other task to run") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    for (int i = 0; i < 50; ++i) {
        tcp_stream c = co_await tcp_connect(l.local_endpoint());
        tcp_stream s = co_await l.accept();
        CHECK(c.is_open());
    }
}

EDDY_TEST("ST-28 an address that does not answer is joined by the next one after 250 ms") {
    silent_peer silent = co_await silent_peer::make();
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::size_t before = open_descriptors();
    const auto start = this_loop().now();
    std::vector<ip_endpoint> both{silent.endpoint(), l.local_endpoint()};
    tcp_stream c = co_await tcp_connect(std::move(both));
    CHECK(this_loop().now() - start == 250ms);
    CHECK(c.remote_endpoint() == l.local_endpoint());
    CHECK(open_descriptors() == before + 1); // the loser's socket is closed
}

EDDY_TEST("ST-28 an address that fails is followed by the next one at once") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const auto start = this_loop().now();
    std::vector<ip_endpoint> all{closed_port(), closed_port(), l.local_endpoint()};
    tcp_stream c = co_await tcp_connect(std::move(all), {.happy_eyeballs = 1h});
    CHECK(this_loop().now() - start < 1h);
    CHECK(c.remote_endpoint() == l.local_endpoint());
}

// The kernel knocks again after a second, of its own time.
EDDY_TEST_REAL("ST-28 the slow one may still win while a later one hangs") {
    silent_peer first = co_await silent_peer::make();
    silent_peer second = co_await silent_peer::make();
    const std::size_t before = open_descriptors();
    std::vector<ip_endpoint> both{first.endpoint(), second.endpoint()};
    auto connecting = spawn(tcp_connect(std::move(both), {.happy_eyeballs = 50ms}));
    while (open_descriptors() < before + 2) co_await sleep_for(1ms); // both are on their way
    co_await first.answer(); // takes one off its queue, whose descriptor goes at once
    tcp_stream c = co_await std::move(connecting);
    CHECK(c.remote_endpoint() == first.endpoint());
    CHECK(open_descriptors() == before + 1);
}

EDDY_TEST("ST-28 a connect that is cancelled while several addresses are on their way leaves no socket") {
    silent_peer first = co_await silent_peer::make();
    silent_peer second = co_await silent_peer::make();
    auto connecting = spawn([&]() -> task<tcp_stream> {
        std::vector<ip_endpoint> both{first.endpoint(), second.endpoint()};
        co_return co_await tcp_connect(std::move(both), {.timeout = 10min});
    });
    co_await sleep_for(1s); // both are on their way
    const std::size_t before = open_descriptors();
    co_await connecting.cancel_and_join();
    CHECK(connecting.cancelled());
    CHECK(open_descriptors() == before - 2);
}

EDDY_TEST("ST-28 a name's addresses are tried one of each family in turn, beginning with the first one's") {
    const auto six = [](std::uint16_t n) { return ip_endpoint("::1", n); }; // where nobody listens, be there IPv6 or not
    const auto four = [](std::uint16_t n) { return ip_endpoint("127.0.0.1", n); };
    for (const std::chrono::nanoseconds stagger : {250'000'000ns, 0ns}) {
        std::vector<ip_endpoint> found{six(1), six(2), four(1), four(2)};
        std::vector<ip_endpoint> order = co_await order_of_attempts(std::move(found), stagger);
        CHECK(order == std::vector<ip_endpoint>{six(1), four(1), six(2), four(2)});
        found = {four(1), four(2), six(1), four(3)};
        order = co_await order_of_attempts(std::move(found), stagger);
        CHECK(order == std::vector<ip_endpoint>{four(1), six(1), four(2), four(3)});
    }
}

EDDY_TEST("a connect to several addresses that runs out of memory says so, and not in a group") {
    const std::vector<ip_endpoint> both{closed_port(), closed_port()};
    std::vector<ip_endpoint> warm_up = both;
    static_cast<void>(co_await words::ending(tcp_connect(std::move(warm_up)))); // the loop has what it needs from then on
    co_await testing::settle();
    std::exception_ptr failure;
    int failures = 0;
    bool happened = true;
    for (long n = 0; happened; ++n) {
        std::vector<ip_endpoint> copy = both;
        task<tcp_stream> connecting = tcp_connect(std::move(copy), {.happy_eyeballs = 1h});
        std::optional<allocations::failing> next(std::in_place, n);
        try {
            static_cast<void>(co_await std::move(connecting));
        } catch (...) {
            failure = std::current_exception();
        }
        happened = next->happened();
        next.reset();
        CHECK_FALSE(words::holds<exception_group>(failure));
        if (words::holds<std::bad_alloc>(failure)) ++failures;
    }
    CHECK(failures > 0);
    CHECK(words::holds<connect_error>(failure)); // the last time there was enough
}

EDDY_TEST("ST-28 if all fail, each address has its error, in order") {
    const std::vector<ip_endpoint> all{closed_port(), closed_port(), closed_port()};
    std::vector<connect_error::attempt> attempts;
    std::string text;
    try {
        std::vector<ip_endpoint> copy = all;
        static_cast<void>(co_await tcp_connect(std::move(copy)));
    } catch (const connect_error& e) {
        attempts = e.attempts();
        text = e.what();
    }
    REQUIRE(attempts.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(attempts[i].endpoint == all[i]);
        CHECK(attempts[i].error == std::errc::connection_refused);
    }
    CHECK(text.starts_with("connect to " + all[0].to_string() + " or 2 others failed (tried 3 addresses; "));
}

EDDY_TEST("ST-28 a timeout holds for all addresses together, and leaves no socket") {
    silent_peer first = co_await silent_peer::make();
    silent_peer second = co_await silent_peer::make();
    const std::size_t before = open_descriptors();
    std::vector<ip_endpoint> both{first.endpoint(), second.endpoint()};
    std::string end = co_await words::ending(tcp_connect(std::move(both), {.timeout = 3s}));
    CHECK(end.starts_with("connect to " + first.endpoint().to_string() + " or 1 other timed out after 3000 ms"));
    CHECK(open_descriptors() == before);
}

EDDY_TEST("tcp_connect with a family: a name is looked up in it alone") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream c = co_await tcp_connect("localhost", l.local_endpoint().port(), {.family = address_family::ipv4});
    CHECK(c.remote_endpoint() == l.local_endpoint());
    outcome<tcp_stream> literal = co_await as_result(tcp_connect("127.0.0.1", 80, {.family = address_family::ipv6}));
    CHECK(words::holds<resolve_error>(literal.exception()));
    CHECK(words::of(literal).starts_with("cannot look up '127.0.0.1' (service 80, IPv6 only): it is an IPv4 address: "));
}

EDDY_TEST("tcp_connect with a family: of endpoints of one's own the others are left out, and one has to be left") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    std::vector<ip_endpoint> both{ip_endpoint("::1", 1), l.local_endpoint()};
    tcp_stream c = co_await tcp_connect(std::move(both), {.happy_eyeballs = 0s, .family = address_family::ipv4});
    CHECK(c.remote_endpoint() == l.local_endpoint());
    std::vector<ip_endpoint> dead{ip_endpoint("::1", 1), closed_port()};
    std::string only = co_await words::ending(tcp_connect(std::move(dead), {.family = address_family::ipv4}));
    CHECK(only.find("(tried 1 address)") != std::string::npos);
    CHECK(words::of_call([] { return tcp_connect(ip_endpoint("127.0.0.1", 80), {.family = address_family::ipv6}); }) ==
          "tcp_connect: 127.0.0.1:80 is not of IPv6, which alone was asked for");
    CHECK(words::throws<std::invalid_argument>([] { return tcp_connect(ip_endpoint("::1", 80), {.family = address_family::ipv4}); }));
}

EDDY_TEST("tcp_connect from an address of one's own") {
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    tcp_stream c = co_await tcp_connect(l.local_endpoint(), {.local = ip_endpoint("127.0.0.2", 0)});
    CHECK(c.local_endpoint().address() == "127.0.0.2");
    outcome<tcp_stream> wrong = co_await as_result(tcp_connect(l.local_endpoint(), {.local = ip_endpoint("192.0.2.1", 0)}));
    CHECK(wrong.error() == std::errc::address_not_available);
    CHECK_THROWS_AS(tcp_connect(std::vector<ip_endpoint>()), std::invalid_argument);
}
