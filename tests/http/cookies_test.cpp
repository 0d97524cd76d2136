// What a client remembers between requests: cookies. And the version of HTTP that is spoken.
#include "http/support.hpp"

using namespace http_tests;

namespace {

/// /set?c=… sets a cookie, /go redirects to /; everything else tells which cookies have come.
task<http::response> cookie_handler(http::request q) {
    if (q.path() == "/set") co_return http::response{200, q.header("Cookie")}.add("Set-Cookie", q.parameter("c").value_or(""));
    if (q.path() == "/go") co_return http::response(302).set("Location", "/").set("Set-Cookie", "went=1");
    co_return http::response{200, q.header("Cookie")};
}

} // namespace

EDDY_TEST("cookies that a server sets go with later requests, if the client keeps them") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    co_await hc.get(hs.url("/set?c=" + http::form_encode("a=1")));
    co_await hc.get(hs.url("/set?c=" + http::form_encode("b=2; Path=/deep")));
    const http::response top = co_await hc.get(hs.url());
    CHECK(top.body == "a=1");
    const http::response deep = co_await hc.get(hs.url("/deep/x"));
    CHECK((deep.body == "b=2; a=1" || deep.body == "a=1; b=2"));
    const http::response moved = co_await hc.get(hs.url("/go"));
    CHECK((moved.body == "a=1; went=1" || moved.body == "went=1; a=1"));
    co_await hc.get(hs.url("/set?c=" + http::form_encode("a=; Max-Age=0")));
    const http::response without = co_await hc.get(hs.url());
    CHECK(without.body == "went=1");
    http::client other{{.cookies = true}};
    const http::response of_other = co_await other.get(hs.url());
    CHECK(of_other.body.empty());
}

EDDY_TEST("requests at the same time share the cookies, and a streamed one too") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    http::streamed_response set = co_await hc.stream(hs.url("/set?c=a%3D1"));
    auto one = spawn(hc.get(hs.url()));
    auto two = spawn(hc.get(hs.url()));
    const http::response first = co_await one;
    const http::response second = co_await two;
    CHECK(first.body + "|" + second.body == "a=1|a=1");
    const http::response third = co_await hc.post(hs.url(), "body");
    CHECK(third.body == "a=1");
}

EDDY_TEST("cookies are forgotten when they are cleared, and not kept by default") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    co_await hc.get(hs.url("/set?c=a%3D1"));
    hc.clear_cookies();
    const http::response cleared = co_await hc.get(hs.url());
    CHECK(cleared.body.empty());
    co_await hc.get(hs.url("/set?c=b%3D1"));
    const http::response again = co_await hc.get(hs.url());
    CHECK(again.body == "b=1");
    http::client plain;
    plain.clear_cookies();
    co_await plain.get(hs.url("/set?c=a%3D1"));
    const http::response none = co_await plain.get(hs.url());
    CHECK(none.body.empty());
}

EDDY_TEST("a response tells the version of HTTP, and http2 has no effect without TLS") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/old") co_return http::response::raw("HTTP/1.0 200 OK\r\n\r\nold");
        co_return http::response{200, "1." + std::to_string(q.minor_version) + q.header("Upgrade")};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    for (const bool http2 : {false, true}) {
        http::client hc{{.http2 = http2}};
        const http::response res = co_await hc.get(hs.url());
        CHECK(res.http_version == 11);
        CHECK(res.body == "1.1");
        const http::response old = co_await hc.get(hs.url("/old"));
        CHECK(old.http_version == 10);
        CHECK(old.body == "old");
    }
}
