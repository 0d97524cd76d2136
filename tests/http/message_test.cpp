// Header lists, requests, responses and errors, as plain objects.
#include "http/support.hpp"

#include <vector>

using namespace http_tests;

TEST_CASE("headers are found whatever their case, and keep their order") {
    http::header_list h;
    h.add("Set-Cookie", "a=1");
    h.add("X-Other", "x");
    h.add("set-cookie", "b=2");
    CHECK(h.get("SET-COOKIE") == "a=1");
    CHECK(h.get_all("Set-Cookie") == std::vector<std::string_view>{"a=1", "b=2"});
    CHECK(h.get("missing").empty());
    CHECK_FALSE(h.contains("missing"));
    h.set("Set-Cookie", " c=3 ");
    CHECK(h.size() == 2);
    CHECK(h.get("Set-Cookie") == "c=3");
    CHECK(h.erase("x-OTHER") == 1);
    CHECK(h.size() == 1);
}

TEST_CASE("a header cannot smuggle another one") {
    http::header_list h;
    CHECK_THROWS_AS(h.add("X", "1\r\nSet-Cookie: evil"), std::invalid_argument);
    CHECK_THROWS_AS(h.add("X", "1\nY: 2"), std::invalid_argument);
    CHECK_THROWS_AS(h.set("X", std::string_view("a\0b", 3)), std::invalid_argument);
    CHECK_THROWS_AS(h.add("X Y", "1"), std::invalid_argument);
    CHECK_THROWS_AS(h.add("X:", "1"), std::invalid_argument);
    CHECK_THROWS_AS(h.add("", "1"), std::invalid_argument);
    CHECK(h.empty());
}

TEST_CASE("tokens are found in lists") {
    http::header_list h;
    h.add("Connection", "Upgrade , close");
    h.add("Connection", "x");
    CHECK(h.has_token("connection", "CLOSE"));
    CHECK(h.has_token("connection", "x"));
    CHECK_FALSE(h.has_token("connection", "clo"));
}

TEST_CASE("a request's target is taken apart") {
    http::request q;
    q.target = "/a/b?x=1&name=J%C3%BCrgen+M&flag&=e";
    CHECK(q.path() == "/a/b");
    CHECK(q.query() == "x=1&name=J%C3%BCrgen+M&flag&=e");
    CHECK(q.parameter("x") == "1");
    CHECK(q.parameter("name") == "J\xC3\xBCrgen M");
    CHECK(q.parameter("flag") == "");
    CHECK_FALSE(q.parameter("none").has_value());
    q.target = "http://host:81?q=1";
    CHECK(q.path() == "/");
    CHECK(q.query() == "q=1");
    q.target = "http://host/p";
    CHECK(q.path() == "/p");
    q.target = "*";
    CHECK(q.path() == "*");
    CHECK(http::decode_query("%4") == "%4");
    CHECK(http::decode_query("%zz%41") == "%zzA");
}

TEST_CASE("responses are built in one expression") {
    const http::response r = http::response{404, "gone"}.content_type("text/html").add("X-A", "1").close_connection();
    CHECK(r.status == 404);
    CHECK_FALSE(r.ok());
    CHECK(r.body == "gone");
    CHECK(r.header("content-type") == "text/html");
    CHECK(r.header("x-a") == "1");
    CHECK(r.closes_connection());
    CHECK(http::response{}.status == 200);
    CHECK(http::response(204).ok());
    CHECK(http::response(200, "x", "text/css").header("Content-Type") == "text/css");
}

TEST_CASE("an error names method, URL and reason, and is a system error") {
    const http::error e(http::error_kind::timeout, "GET", "http://h/", "no answer", 0);
    CHECK(e.what() == "GET http://h/ failed: timed out: no answer"sv);
    CHECK(e.url() == "http://h/");
    CHECK(e.code() == http::error_kind::timeout);
    CHECK(e.code() == std::errc::timed_out);
    const http::error refused(http::error_kind::connect, "GET", "http://h/", "", ECONNREFUSED);
    CHECK(refused.what() == "GET http://h/ failed: no connection (Connection refused)"sv);
    const http::error secret(http::error_kind::resolve, "GET", "http://me:pass:w@rd@h/p@q", "");
    CHECK(secret.what() == "GET http://me:***@h/p@q failed: host name not resolved"sv);
    CHECK(refused.os_error() == std::errc::connection_refused);
}

TEST_CASE("what a server said stands in an error's text without control characters") {
    const http::error e(http::error_kind::protocol, "GET", "http://a.example/\x1b[2J", "it said \xff\n\"x\"");
    CHECK(std::string(e.what()) == "GET http://a.example/\\x1B[2J failed: invalid response: it said \\xFF\\x0A\"x\"");
    CHECK(e.url() == "http://a.example/\x1b[2J"); // as it is
    const http::error utf8(http::error_kind::tls, "GET", "http://a.example/", "ca_file 'f\xc3\xbcr.pem' \xc2\x9b");
    CHECK(std::string(utf8.what()).ends_with("ca_file 'f\xc3\xbcr.pem' \\xC2\\x9B"));
}
