// What a server says of the requests it had.
#include "http/support.hpp"

#include <stdexcept>
#include <vector>

using namespace http_tests;

EDDY_TEST("access_log: a record for each response, with what was sent") {
    std::vector<http::access_record> records;
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/slow") co_await sleep_for(3s);
        if (q.target == "/stream")
            co_return http::response::stream(200, "text/plain", [](http::body_writer& out) -> task<> { co_await out.write("12345"); });
        co_return http::response{q.target == "/none" ? 404 : 200, "body"};
    }};
    hs.on_access([&](const http::access_record& r) { records.push_back(r); });
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.ask("GET /slow HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: test\r\n\r\n"
                   "HEAD /none HTTP/1.1\r\nHost: h\r\n\r\n"
                   "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n"
                   "GET /bad\r\n\r\n");
    REQUIRE(records.size() == 4);
    CHECK(records[0].method == "GET");
    CHECK(records[0].target == "/slow");
    CHECK(records[0].referer == "http://r/");
    CHECK(records[0].user_agent == "test");
    CHECK(records[0].status == 200);
    CHECK(records[0].body_bytes == 4);
    CHECK(records[0].complete);
    CHECK(records[0].remote.address() == "127.0.0.1");
    const bool timed = records[0].duration >= 3s;
    CHECK(timed);
    CHECK(records[1].status == 404);
    CHECK(records[1].body_bytes == 0);
    CHECK(records[2].body_bytes == 5);
    CHECK(records[3].status == 400);
    CHECK(records[3].method.empty());
}

EDDY_TEST("access_log: what came to nothing is recorded as that") {
    std::vector<http::access_record> records;
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/breaks")
            co_return http::response::stream(200, "text/plain", [](http::body_writer& out) -> task<> {
                co_await out.write("123");
                throw broken_resource("enough");
            });
        co_return http::response{200, q.body};
    }};
    hs.on_access([&](const http::access_record& r) { records.push_back(r); });
    reported r;
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection breaks = co_await raw_connection::open(hs.port());
    co_await breaks.ask("GET /breaks HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_connection leaves = co_await raw_connection::open(hs.port());
    co_await leaves.send("POST /left HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    co_await leaves.end_sending();
    co_await leaves.read_to_end();
    REQUIRE(records.size() == 2);
    CHECK_FALSE(records[0].complete);
    CHECK(records[0].status == 200);
    CHECK(records[0].body_bytes == 3);
    CHECK_FALSE(records[1].complete);
    CHECK(records[1].status == 0);
    CHECK(records[1].target == "/left");
}

EDDY_TEST("access_log: a log that throws is reported and harms no request") {
    reported r;
    http::server hs{echo};
    hs.on_access([](const http::access_record&) { throw std::runtime_error("disk full"); });
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.get(hs.url("/x"));
    CHECK(res.body == "GET /x");
    CHECK(r.messages == "the access log of an HTTP server failed: GET /x\n");
    CHECK_THROWS_AS(hs.on_access([](const http::access_record&) {}), std::logic_error);
}

TEST_CASE("access_log: common_log_line is the combined format, and cannot be forged") {
    http::access_record r;
    r.remote = ip_endpoint("127.0.0.1", 5000);
    r.method = "GET";
    r.target = "/a?b";
    r.status = 200;
    r.body_bytes = 12;
    r.received = std::chrono::system_clock::from_time_t(784111777);
    CHECK(http::common_log_line(r) == "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200 12 \"-\" \"-\"");
    r.referer = "http://r/\"\\";
    r.user_agent = "a\tb\x80\n127.0.0.1 - -";
    CHECK(http::common_log_line(r) == "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200 12 \"http://r/\\x22\\x5C\" \"a\\x09b\\x80\\x0A127.0.0.1 - -\"");
    r = http::access_record();
    r.remote = ip_endpoint("::1", 1);
    r.status = 400;
    r.received = std::chrono::system_clock::from_time_t(0);
    CHECK(http::common_log_line(r) == "::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 0 \"-\" \"-\"");
}
