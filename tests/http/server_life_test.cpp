// The server over real sockets: slow clients, limits, starting and stopping.
#include "http/support.hpp"

#include <optional>
#include <vector>

using namespace http_tests;

EDDY_TEST("a head that does not come is answered with 408") {
    http::server hs{echo, {.header_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const auto start = loop_clock::now();
    const std::string got = co_await c.ask("GET / HT");
    CHECK(status_line(got) == "HTTP/1.1 408 Request Timeout");
    const bool late_enough = loop_clock::now() - start >= 5s;
    CHECK(late_enough);
}

EDDY_TEST("a head that comes byte by byte is too slow all the same") {
    http::server hs{echo, {.header_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    auto drip = spawn([&]() -> task<> {
        for (;;) {
            co_await c.send("x");
            co_await sleep_for(1s);
        }
    });
    const std::string got = co_await c.read_to_end();
    CHECK(status_line(got) == "HTTP/1.1 408 Request Timeout");
    co_await drip.cancel_and_join();
}

EDDY_TEST("who says nothing is left without an answer") {
    http::server hs{echo, {.header_timeout = 5s, .idle_timeout = 60s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection silent = co_await raw_connection::open(hs.port());
    const auto start = loop_clock::now();
    const std::string nothing = co_await silent.read_to_end();
    CHECK(nothing.empty());
    const bool header_time = loop_clock::now() - start < 60s;
    CHECK(header_time);
    raw_connection idle = co_await raw_connection::open(hs.port());
    const auto begin = loop_clock::now();
    const std::string answer = co_await idle.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(body_of(answer) == "GET /");
    const bool idle_time = loop_clock::now() - begin >= 60s;
    CHECK(idle_time);
}

EDDY_TEST("an empty line between requests begins none: no 408, and shutdown does not wait") {
    http::server hs{echo, {.header_timeout = 5s, .idle_timeout = 60s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await c.read_until("GET /a");
    co_await c.send("\r\n");
    co_await sleep_for(30s);
    co_await c.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string next = co_await c.read_until("GET /b");
    CHECK(status_line(next) == "HTTP/1.1 200 OK");
    co_await c.send("\r\n");
    co_await testing::settle();
    const auto begin = loop_clock::now();
    co_await hs.shutdown(1h);
    const bool at_once = loop_clock::now() - begin < 5s;
    CHECK(at_once);
}

EDDY_TEST("a body that does not come is answered with 408") {
    http::server hs{echo, {.body_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(status_line(got) == "HTTP/1.1 408 Request Timeout");
}

EDDY_TEST("a body that comes byte by byte is too slow all the same") {
    http::server hs{echo, {.body_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    auto drip = spawn([&]() -> task<> {
        for (;;) {
            co_await c.send("x");
            co_await sleep_for(1s);
        }
    });
    const std::string got = co_await c.read_to_end();
    CHECK(status_line(got) == "HTTP/1.1 408 Request Timeout");
    co_await drip.cancel_and_join();
}

EDDY_TEST("a client that does not read is cut off") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, std::string(20'000'000, 'x')}; },
                    {.write_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    while (hs.connections() == 0) co_await sleep_for(1s);
    while (hs.connections() > 0) co_await sleep_for(1s);
    const std::string got = co_await c.read_to_end();
    CHECK(got.size() < 20'000'000);
    CHECK(got.ends_with("<reset>"));
}

EDDY_TEST("clients that leave at any point do no harm") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    const std::string request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for (std::size_t n = 0; n <= request.size(); ++n) {
        raw_connection c = co_await raw_connection::open(hs.port());
        if (n > 0) co_await c.send(request.substr(0, n));
        if (n % 2 == 0)
            c.stream().abort();
        else
            co_await c.stream().close();
    }
    co_await testing::settle();
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("GET /last HTTP/1.0\r\n\r\n");
    CHECK(body_of(got) == "GET /last");
}

EDDY_TEST("many connections at once, and none is left") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    std::vector<task<std::string>> clients;
    const auto port = hs.port();
    auto ask = [](std::uint16_t where, int i) -> task<std::string> {
        raw_connection c = co_await raw_connection::open(where);
        co_return co_await c.ask("GET /" + std::to_string(i) + " HTTP/1.0\r\n\r\n");
    };
    for (int i = 0; i < 300; ++i) clients.push_back(ask(port, i));
    const std::vector<std::string> answers = co_await gather(std::move(clients));
    int right = 0;
    for (int i = 0; i < 300; ++i) right += body_of(answers[static_cast<std::size_t>(i)]) == "GET /" + std::to_string(i) ? 1 : 0;
    CHECK(right == 300);
    co_await testing::settle();
    CHECK(hs.connections() == 0);
}

EDDY_TEST("one connection too many gets 503") {
    http::server hs{echo, {.max_connections = 1}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection a = co_await raw_connection::open(hs.port());
    co_await a.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string first = co_await a.read_until("GET /a");
    CHECK(status_line(first) == "HTTP/1.1 200 OK");
    raw_connection b = co_await raw_connection::open(hs.port());
    co_await b.end_sending();
    const std::string second = co_await b.read_to_end();
    CHECK(status_line(second) == "HTTP/1.1 503 Service Unavailable");
    co_await a.stream().close();
    while (hs.connections() > 0) co_await this_task::yield();
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string third = co_await c.ask("GET /c HTTP/1.0\r\n\r\n");
    CHECK(body_of(third) == "GET /c");
}

EDDY_TEST("the last request of a connection is announced as such") {
    http::server hs{echo, {.max_requests_per_connection = 2}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    co_await c.send(get + get + get);
    co_await c.end_sending();
    const std::string got = co_await c.read_to_end();
    CHECK(raw_connection::count(got, "HTTP/1.1 200 OK") == 2);
    CHECK(raw_connection::count(got, "Connection: close") == 1);
}

EDDY_TEST("shutdown closes idle connections at once and lets running requests end") {
    event entered;
    http::server hs{[&](http::request q) -> task<http::response> {
        entered.set();
        if (q.target == "/slow") co_await sleep_for(3s);
        co_return http::response{200, q.target};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection idle = co_await raw_connection::open(hs.port());
    co_await idle.send("GET /idle HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string first = co_await idle.read_until("/idle");
    entered.clear();
    raw_connection busy = co_await raw_connection::open(hs.port());
    co_await busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await entered.wait();
    const auto start = loop_clock::now();
    auto stopping = spawn(hs.shutdown(1h));
    const std::string nothing = co_await idle.read_to_end();
    CHECK(nothing.empty());
    const std::string last = co_await busy.read_to_end();
    CHECK(body_of(last) == "/slow");
    CHECK(last.find("\r\nConnection: close\r\n") != std::string::npos);
    co_await busy.stream().close();
    co_await stopping;
    const bool did_not_wait = loop_clock::now() - start < 1min;
    CHECK(did_not_wait);
    CHECK(hs.connections() == 0);
}

EDDY_TEST("shutdown cancels handlers when the grace period is over") {
    event entered;
    std::string log;
    http::server hs{[&](http::request) -> task<http::response> {
        entered.set();
        try {
            co_await sleep_for(24h);
        } catch (const operation_cancelled&) {
            log += "cancelled";
            throw;
        }
        co_return http::response{200};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await entered.wait();
    co_await hs.shutdown(2s);
    CHECK(log == "cancelled");
    const std::string got = co_await c.read_to_end();
    CHECK(got.find("HTTP/") == std::string::npos);
}

EDDY_TEST("a server that stopped accepting serves the connections it has") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string first = co_await c.read_until("GET /1");
    hs.stop_accepting();
    co_await testing::settle();
    bool refused = false;
    try {
        raw_connection late = co_await raw_connection::open(hs.port());
    } catch (const connect_error&) {
        refused = true;
    }
    CHECK(refused);
    const std::string second = co_await c.ask("GET /2 HTTP/1.0\r\n\r\n");
    CHECK(body_of(second) == "GET /2");
}

EDDY_TEST("serve runs in the current task until it is cancelled") {
    http::server hs{echo};
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const auto port = l.local_endpoint().port();
    auto serving = spawn(hs.serve(std::move(l)));
    raw_connection c = co_await raw_connection::open(port);
    co_await c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string got = co_await c.read_until("GET /");
    CHECK(status_line(got) == "HTTP/1.1 200 OK");
    CHECK(hs.port() == port);
    co_await serving.cancel_and_join();
    CHECK(serving.cancelled());
    CHECK(hs.connections() == 0);
    const std::string end = co_await c.read_to_end();
    CHECK((end.empty() || end == "<reset>"));
}

EDDY_TEST("serve returns when the server was shut down by somebody else") {
    http::server hs{echo};
    auto serving = spawn(hs.serve(tcp_listener::bind({"127.0.0.1", 0})));
    co_await testing::settle();
    co_await hs.shutdown(1s);
    co_await serving;
    CHECK_FALSE(serving.cancelled());
}

EDDY_TEST("a server object that goes away takes its connections along") {
    std::optional<http::server> hs;
    event entered;
    hs.emplace([&entered](http::request) -> task<http::response> {
        entered.set();
        co_await sleep_for(24h);
        co_return http::response{200};
    });
    co_await hs->listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs->port());
    co_await c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await entered.wait();
    hs.reset();
    const std::string got = co_await c.read_to_end();
    CHECK(got.find("HTTP/") == std::string::npos);
}

EDDY_TEST("a server starts once, and a port in use is named") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    CHECK(hs.url("/x") == "http://127.0.0.1:" + std::to_string(hs.port()) + "/x");
    bool twice = false;
    try {
        co_await hs.listen({"127.0.0.1", 0});
    } catch (const std::logic_error&) {
        twice = true;
    }
    CHECK(twice);
    http::server other{echo};
    std::string message;
    try {
        co_await other.listen({"127.0.0.1", hs.port()});
    } catch (const std::system_error& e) {
        message = e.what();
    }
    CHECK(message.find("127.0.0.1:" + std::to_string(hs.port())) != std::string::npos);
    bool not_started = false;
    try {
        co_await other.shutdown(1s);
    } catch (const std::logic_error&) {
        not_started = true;
    }
    CHECK(not_started);
}

EDDY_TEST("a server listens on all addresses of a name, and on listeners of one's own") {
    http::server named{echo};
    co_await named.listen("localhost", 0, {.family = address_family::ipv4});
    CHECK(named.url().starts_with("http://127.0.0.1:"));
    raw_connection c = co_await raw_connection::open(named.port());
    const std::string got = co_await c.ask("GET /named HTTP/1.0\r\n\r\n");
    CHECK(body_of(got) == "GET /named");
    co_await named.shutdown(1s);

    const std::vector<ip_endpoint> where{ip_endpoint("127.0.0.1", 0), ip_endpoint("127.0.0.2", 0)};
    http::server several{echo};
    auto serving = spawn(several.serve(tcp_listener::bind(where)));
    co_await testing::settle();
    for (const char* address : {"127.0.0.1", "127.0.0.2"}) {
        raw_connection to(co_await tcp_connect(ip_endpoint(address, several.port())));
        const std::string answer = co_await to.ask("GET /several HTTP/1.0\r\n\r\n");
        CHECK(body_of(answer) == "GET /several");
    }
    co_await several.shutdown(1s);
    co_await serving;
}

EDDY_TEST("R4 listen by name: cancelled while it looks up, the server was not started") {
    http::server hs{echo};
    auto listening = spawn(hs.listen("localhost", 0));
    listening.cancel();
    co_await listening.join();
    CHECK(listening.cancelled());
    CHECK(hs.port() == 0);
    co_await hs.listen({"127.0.0.1", 0});
    CHECK(hs.port() != 0);
    co_await hs.shutdown(1s);
}

EDDY_TEST("connections that are being turned away take nobody's place") {
    http::server hs{echo, {.max_connections = 1}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection served = co_await raw_connection::open(hs.port());
    co_await served.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await served.read_until("GET /a");
    raw_connection refused = co_await raw_connection::open(hs.port());
    co_await refused.read_until("503"); // it does not close: the server lingers
    co_await served.stream().close();
    co_await testing::settle();
    raw_connection next = co_await raw_connection::open(hs.port());
    const std::string got = co_await next.ask("GET /c HTTP/1.0\r\n\r\n");
    CHECK(body_of(got) == "GET /c");
}

EDDY_TEST("shutdown and serve may outlive the server object") {
    std::optional<http::server> hs;
    event entered;
    hs.emplace([&entered](http::request) -> task<http::response> {
        entered.set();
        co_await sleep_for(24h);
        co_return http::response{200};
    });
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const auto port = l.local_endpoint().port();
    auto serving = spawn(hs->serve(std::move(l)));
    raw_connection c = co_await raw_connection::open(port);
    co_await c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await entered.wait();
    auto stopping = spawn(hs->shutdown(1h)); // has not begun when the object goes
    hs.reset();
    serving.cancel();
    co_await serving.join();
    co_await stopping;
    const std::string got = co_await c.read_to_end();
    CHECK(got.find("HTTP/") == std::string::npos);
}

EDDY_TEST("requests that the kernel still has do not destroy the last response") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, std::string(100'000, 'x')}.close_connection(); }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    std::string ahead;
    while (ahead.size() < 20'000) ahead += "GET / HTTP/1.1\r\nHost: h\r\n\r\n"; // more than one read of the server's
    ahead = "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(4096 - 31 - 4, 'x') + "\r\n\r\n" + ahead; // which ends where the first does
    co_await c.send(ahead);
    co_await testing::settle();
    const std::string got = co_await c.read_to_end();
    CHECK(body_of(got).size() == 100'000);
    CHECK_FALSE(got.ends_with("<reset>"));
}

EDDY_TEST("SV-10 is_serving: from listen until it stops accepting") {
    http::server hs{echo};
    CHECK_FALSE(hs.is_serving());
    co_await hs.listen({"127.0.0.1", 0});
    CHECK(hs.is_serving());
    hs.stop_accepting();
    CHECK_FALSE(hs.is_serving());
    co_await hs.shutdown(5s);
    CHECK_FALSE(hs.is_serving());

    http::server served{echo};
    auto serving = spawn([&]() -> task<> { co_await served.serve(tcp_listener::bind({"127.0.0.1", 0})); });
    co_await testing::settle();
    CHECK(served.is_serving());
    co_await serving.cancel_and_join();
    CHECK_FALSE(served.is_serving());
}
