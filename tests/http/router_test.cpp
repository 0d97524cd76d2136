// Which handler gets a request.
#include "http/support.hpp"

#include <stdexcept>

using namespace http_tests;

namespace {

/// A handler that says who it is, and what it found in the path.
auto named(const char* name) {
    return [name](http::request q) -> task<http::response> {
        std::string text = name;
        for (const http::header& p : q.path_parameters) text += " " + p.name + "=" + p.value;
        co_return http::response{200, text};
    };
}
/// What the router answers with: the body, or status and Allow.
task<> expect(http::router& r, const char* method, const char* target, const char* expected) {
    http::request q;
    q.method = method;
    q.target = target;
    const http::response got = co_await r(std::move(q));
    INFO(method << " " << target);
    CHECK((got.ok() && !got.body.empty() ? got.body : std::to_string(got.status) + " " + got.header("Allow")) == expected);
}

} // namespace

EDDY_TEST("a request goes to the route for its method and path") {
    http::router r;
    r.get("/", named("root")).get("/users", named("list")).post("/users", named("new")).del("/users/{id}", named("delete"));
    r.put("/users/{id}", named("put")).patch("/users/{id}/{field}", named("patch")).add("PURGE", "/cache", named("purge"));
    co_await expect(r, "GET", "/", "root");
    co_await expect(r, "GET", "/users", "list");
    co_await expect(r, "GET", "/users?page=2", "list");
    co_await expect(r, "GET", "http://h/users", "list");
    co_await expect(r, "POST", "/users", "new");
    co_await expect(r, "DELETE", "/users/7", "delete id=7");
    co_await expect(r, "PUT", "/users/7", "put id=7");
    co_await expect(r, "PATCH", "/users/7/name", "patch id=7 field=name");
    co_await expect(r, "PURGE", "/cache", "purge");
    co_await expect(r, "HEAD", "/users", "list");
}

EDDY_TEST("what no route takes is 404, what no method takes 405 with those that would do") {
    http::router r;
    r.get("/a", named("a")).post("/a", named("post a")).del("/a/{x}", named("x"));
    co_await expect(r, "GET", "/", "404 ");
    co_await expect(r, "GET", "/a/", "404 "); // a parameter is not empty
    co_await expect(r, "GET", "/a/b/c", "404 ");
    co_await expect(r, "GET", "/A", "404 ");
    co_await expect(r, "OPTIONS", "*", "404 ");
    co_await expect(r, "PUT", "/a", "405 GET, HEAD, OPTIONS, POST");
    co_await expect(r, "OPTIONS", "/a", "204 GET, HEAD, OPTIONS, POST");
    co_await expect(r, "GET", "/a/1", "405 DELETE, OPTIONS");
    r.put("/b", named("b")).post("/{one}", named("one")).get("/{all...}", named("all"));
    co_await expect(r, "PATCH", "/b", "405 GET, HEAD, OPTIONS, POST, PUT"); // those of less specific routes, too
    co_await expect(r, "OPTIONS", "/b", "204 GET, HEAD, OPTIONS, POST, PUT");
    co_await expect(r, "PATCH", "/b/c", "405 GET, HEAD, OPTIONS");
}

EDDY_TEST("what no route takes can have a handler of its own") {
    http::router r;
    r.get("/a", named("a")).post("/a", named("post a"));
    r.otherwise(named("other"));
    co_await expect(r, "GET", "/nowhere", "other");
    co_await expect(r, "PUT", "/a", "405 GET, HEAD, OPTIONS, POST");
}

EDDY_TEST("the more specific route is preferred, whatever the order") {
    for (const bool turned : {false, true}) {
        http::router r;
        if (turned) r.get("/{all...}", named("all")).get("/{one}/x", named("one x")).get("/a/{two}", named("a two"));
        r.get("/a/x", named("a x"));
        if (!turned) r.get("/a/{two}", named("a two")).get("/{one}/x", named("one x")).get("/{all...}", named("all"));
        r.post("/{any}", named("post any"));
        co_await expect(r, "GET", "/a/x", "a x");
        co_await expect(r, "GET", "/a/y", "a two two=y");
        co_await expect(r, "GET", "/b/x", "one x one=b");
        co_await expect(r, "GET", "/b/y", "all all=b/y");
        co_await expect(r, "GET", "/a/x/z", "all all=a/x/z");
        co_await expect(r, "GET", "/", "all all=");
        co_await expect(r, "GET", "/b", "all all=b"); // the route between has no GET
        co_await expect(r, "POST", "/b", "post any any=b");
    }
}

EDDY_TEST("parts are decoded one by one") {
    http::router r;
    r.get("/f/{name}", named("f")).get("/caf%C3%A9", named("coffee")).get("/rest/{path...}", named("rest"));
    co_await expect(r, "GET", "/f/a%2Fb%20c+d", "f name=a/b c+d");
    co_await expect(r, "GET", "/f/%0d%0aSet-Cookie:x", "f name=\r\nSet-Cookie:x");
    co_await expect(r, "GET", "/%66/x", "f name=x");
    co_await expect(r, "GET", "/caf\xc3\xa9", "coffee");
    co_await expect(r, "GET", "/f/%zz", "f name=%zz");
    co_await expect(r, "GET", "/rest/a/%2e%2e/b", "rest path=a/../b");
    co_await expect(r, "GET", "/rest/", "rest path=");
    co_await expect(r, "GET", "/rest", "404 ");
}

EDDY_TEST("patterns that make no sense are refused where they are added") {
    http::router r;
    for (const char* bad : {"", "a", "/{", "/}", "/{}", "/x{y}", "/{y}x", "/{a b}", "/{...}", "/{a...}/b", "/{a}/{a}", "/{a}/{a...}", "/a?b", "/a#b"}) {
        INFO(bad);
        CHECK_THROWS_AS(r.get(bad, named("bad")), std::invalid_argument);
    }
    CHECK_THROWS_AS(r.add("G T", "/", named("bad")), std::invalid_argument);
    CHECK_THROWS_AS(r.add("", "/", named("bad")), std::invalid_argument);
    r.get("/{a}", named("first"));
    CHECK_THROWS_AS(r.get("/{b}", named("again")), std::logic_error);
    co_await expect(r, "GET", "/x", "first a=x");
}

EDDY_TEST("a parameter that the route does not have is a mistake of the handler") {
    http::request q;
    q.method = "GET";
    q.target = "/x";
    q.path_parameters.emplace_back("id", "7");
    CHECK(q.path_parameter("id") == "7");
    CHECK_THROWS_AS(q.path_parameter("ID"), std::out_of_range);
    co_return;
}

EDDY_TEST("a router is a server's handler, and cancelling it cancels what it chose") {
    bool unwound = false;
    http::router r;
    r.get("/hello/{who}", [](const http::request& q) -> task<http::response> {
        co_return http::response{200, "hello " + q.path_parameter("who")};
    });
    r.get("/slow", [&](http::request) -> task<http::response> {
        try {
            co_await sleep_for(24h);
        } catch (const operation_cancelled&) {
            unwound = true;
            throw;
        }
        co_return http::response{200, "late"};
    });
    http::server hs{std::move(r)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response hello = co_await hc.get(hs.url("/hello/w%C3%B6rld"));
    CHECK(hello.body == "hello w\xc3\xb6rld");
    const http::response missing = co_await hc.get(hs.url("/"));
    CHECK(missing.status == 404);
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await testing::settle();
    co_await hs.shutdown(1s);
    CHECK(unwound);
}
