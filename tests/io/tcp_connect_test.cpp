#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <string>

#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;

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
            WARN("no " << address << " on this machine");
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
