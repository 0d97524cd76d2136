// The server over real sockets: what it answers.
#include "http/support.hpp"

using namespace http_tests;

EDDY_TEST("a connection serves one request after the other") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string first = co_await c.read_until("GET /1");
    CHECK(status_line(first) == "HTTP/1.1 200 OK");
    CHECK(first.find("\r\nDate: ") != std::string::npos);
    CHECK(first.find("\r\nContent-Length: 6\r\n") != std::string::npos);
    const std::string second = co_await c.ask("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    CHECK(body_of(second) == "POST /2 abc");
    CHECK(second.find("\r\nConnection: close\r\n") != std::string::npos);
}

EDDY_TEST("requests sent ahead are answered in order, however slow the first is") {
    std::string log;
    http::server hs{[&](http::request q) -> task<http::response> {
        if (q.target == "/slow") co_await sleep_for(1h);
        log += q.target + " ";
        co_return http::response{200, "<" + q.target + ">"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string get = " HTTP/1.1\r\nHost: h\r\n\r\n";
    co_await c.send("GET /slow" + get + "GET /b" + get + "GET /c" + get);
    const std::string all = co_await c.read_until("</c>");
    CHECK(log == "/slow /b /c ");
    CHECK(all.find("</slow>") < all.find("</b>"));
    CHECK(all.find("</b>") < all.find("</c>"));
}

EDDY_TEST("different connections do not wait for each other") {
    event proceed;
    http::server hs{[&](http::request q) -> task<http::response> {
        if (q.target == "/wait") co_await proceed.wait();
        co_return http::response{200, q.target};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection a = co_await raw_connection::open(hs.port());
    co_await a.send("GET /wait HTTP/1.0\r\n\r\n");
    raw_connection b = co_await raw_connection::open(hs.port());
    const std::string quick = co_await b.ask("GET /quick HTTP/1.0\r\n\r\n");
    CHECK(body_of(quick) == "/quick");
    proceed.set();
    const std::string slow = co_await a.read_to_end();
    CHECK(body_of(slow) == "/wait");
}

EDDY_TEST("HEAD has the headers of GET and no body") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, "12345"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(got.find("\r\nContent-Length: 5\r\n") != std::string::npos);
    CHECK(body_of(got).empty());
}

EDDY_TEST("204 and 304 have no body, whatever the handler says") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{q.target == "/204" ? 204 : 304, "not sent"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("GET /204 HTTP/1.1\r\nHost: h\r\n\r\nGET /304 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(raw_connection::count(got, "not sent") == 0);
    CHECK(raw_connection::count(got, "Content-Length") == 0);
    CHECK(raw_connection::count(got, "HTTP/1.1 ") == 2);
}

EDDY_TEST("HTTP/1.0 closes unless asked to keep alive") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection closes = co_await raw_connection::open(hs.port());
    const std::string once = co_await closes.ask("GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
    CHECK(body_of(once) == "GET /a");
    raw_connection keeps = co_await raw_connection::open(hs.port());
    const std::string twice = co_await keeps.ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n");
    CHECK(twice.find("\r\nConnection: keep-alive\r\n") != std::string::npos);
    CHECK(raw_connection::count(twice, "GET /") == 2);
}

EDDY_TEST("a chunked body arrives whole, in pieces and with what follows it") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
    co_await testing::settle();
    co_await c.send("c\r\n4;x=y\r\ndefg\r\n0\r\n");
    co_await testing::settle();
    const std::string got = co_await c.ask("\r\nGET /next HTTP/1.0\r\n\r\n");
    CHECK(got.find("POST /x abcdefg") != std::string::npos);
    CHECK(got.find("GET /next") != std::string::npos);
}

EDDY_TEST("a client that asks whether to go on is told to, once") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    const std::string go_on = co_await c.read_until("\r\n\r\n");
    CHECK(go_on == "HTTP/1.1 100 Continue\r\n\r\n");
    co_await c.send("ok");
    co_await c.end_sending();
    const std::string rest = co_await c.read_to_end();
    CHECK(status_line(rest) == "HTTP/1.1 200 OK");
    CHECK(body_of(rest) == "POST /x ok");
}

EDDY_TEST("a body that is too large is refused before it is sent") {
    http::server hs{echo, {.max_body = 10}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    const std::string got = co_await c.read_to_end();
    CHECK(status_line(got) == "HTTP/1.1 413 Content Too Large");
    CHECK(got.find("\r\nConnection: close\r\n") != std::string::npos);
}

EDDY_TEST("a refusal reaches a client that is still sending its body") {
    http::server hs{echo, {.max_body = 10}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n" + std::string(500'000, 'x'));
    co_await c.end_sending();
    const std::string got = co_await c.read_to_end();
    CHECK(status_line(got) == "HTTP/1.1 413 Content Too Large");
    CHECK(got.find("<reset>") == std::string::npos);
}

EDDY_TEST("an ambiguous request is refused and nothing after it is served") {
    int served = 0;
    http::server hs{[&](http::request) -> task<http::response> {
        ++served;
        co_return http::response{200, "served"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    const std::array<std::string_view, 8> heads{
        "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding : chunked",
        "X: a\r\n Content-Length: 5",                      "X: a\nContent-Length: 5",               "Content-Length: 5,5",
        "Host: other",                                     "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"};
    for (const std::string_view lines : heads) {
        raw_connection c = co_await raw_connection::open(hs.port());
        const std::string got = co_await c.ask("POST / HTTP/1.1\r\nHost: h\r\n" + std::string(lines) +
                                               "\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        INFO(lines);
        const std::string status = status_line(got);
        CHECK((status == "HTTP/1.1 400 Bad Request" || status == "HTTP/1.1 501 Not Implemented"));
        CHECK(raw_connection::count(got, "HTTP/1.1 ") == 1);
        CHECK(got.find("\r\nConnection: close\r\n") != std::string::npos);
    }
    CHECK(served == 0);
}

EDDY_TEST("garbage is refused with the status that fits") {
    http::server hs{echo, {.max_header = 500}};
    co_await hs.listen({"127.0.0.1", 0});
    const std::string long_target = "GET /" + std::string(600, 'x') + " HTTP/1.1\r\n\r\n";
    const std::string long_header = "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(600, 'x') + "\r\n\r\n";
    const std::array<std::pair<std::string_view, std::string_view>, 6> cases{{
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400 Bad Request"},
        {"hello\r\n\r\n", "HTTP/1.1 400 Bad Request"},
        {"GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported"},
        {"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 501 Not Implemented"},
        {long_target, "HTTP/1.1 414 URI Too Long"},
        {long_header, "HTTP/1.1 431 Request Header Fields Too Large"},
    }};
    for (const auto& [bytes, expected] : cases) {
        raw_connection c = co_await raw_connection::open(hs.port());
        const std::string got = co_await c.ask(std::string(bytes));
        CHECK(status_line(got) == expected);
    }
}

EDDY_TEST("a handler that throws gives 500, one report, and the server goes on") {
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports += std::string(e.message) + "; "; });
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/throw") throw std::runtime_error("handler failed");
        if (q.target == "/status") co_return http::response(99);
        co_return http::response{200, "fine"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask(
        "GET /throw HTTP/1.1\r\nHost: h\r\n\r\nGET /status HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    CHECK(raw_connection::count(got, "HTTP/1.1 500 Internal Server Error") == 2);
    CHECK(raw_connection::count(got, "fine") == 1);
    CHECK(got.find("handler failed") == std::string::npos); // what went wrong is nobody else's business
    CHECK(reports == "the handler of an HTTP request failed: GET /throw; the handler of an HTTP request failed: GET /status; ");
}

EDDY_TEST("a handler sees the request as it was sent") {
    http::request seen;
    http::server hs{[&](const http::request& q) -> task<http::response> {
        co_await sleep_for(1ms);
        seen = q;
        co_return http::response{200};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("PUT /a?b=c HTTP/1.0\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody");
    CHECK(status_line(got) == "HTTP/1.1 200 OK");
    CHECK(seen.method == "PUT");
    CHECK(seen.path() == "/a");
    CHECK(seen.parameter("b") == "c");
    CHECK(seen.header("x-one") == "1");
    CHECK(seen.body == "body");
    CHECK(seen.remote == c.stream().local_endpoint());
}

EDDY_TEST("a response can be truncated or not be HTTP at all") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/raw") co_return http::response::raw("not HTTP");
        co_return http::response{200, "0123456789"}.truncate_after(4);
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection a = co_await raw_connection::open(hs.port());
    const std::string truncated = co_await a.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(truncated.find("\r\nContent-Length: 10\r\n") != std::string::npos);
    CHECK(body_of(truncated) == "0123");
    raw_connection b = co_await raw_connection::open(hs.port());
    const std::string raw = co_await b.ask("GET /raw HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(raw == "not HTTP");
}

EDDY_TEST("a large body is taken in and a large one sent") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{200, std::move(q.body)}; }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string body(3'000'000, 'z');
    const std::string request = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n" + body;
    auto sending = spawn(c.send(request));
    const std::string got = co_await c.read_to_end();
    co_await sending;
    CHECK((body_of(got) == body));
}
