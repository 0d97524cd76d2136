// The client against our server, over real sockets: what it can do.
#include "http/support.hpp"

#include <vector>

using namespace http_tests;

namespace {

// gzip of "compressed " × 10
constexpr std::string_view zipped(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\x51\x48\xa6\x3d\x13\x00\xe0\x47\x53\xfa\x6e\x00\x00\x00",
    34);

// /N redirects to /N-1 with the status in ?s=, and so on down to /0, which answers with what it was asked.
task<http::response> redirecting(http::request q) {
    const int n = std::stoi(std::string(q.path().substr(1)));
    if (n == 0) co_return http::response{200, q.method + " " + q.body};
    const std::string status = q.parameter("s").value_or("302");
    co_return http::response(std::stoi(status)).set("Location", "/" + std::to_string(n - 1) + "?s=" + status);
}

} // namespace

EDDY_TEST("get gives the whole response") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, "hello", "text/html"}.add("X-A", "1"); }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.get(hs.url("/page?x=1"));
    CHECK(res.status == 200);
    CHECK(res.ok());
    CHECK(res.body == "hello");
    CHECK(res.header("content-type") == "text/html");
    CHECK(res.header("x-a") == "1");
    CHECK(res.header("none").empty());
    CHECK(res.url == hs.url("/page?x=1"));
    CHECK(res.redirects == 0);
    CHECK(res.bytes == 5);
    CHECK_FALSE(res.connection_reused);
    const bool timed = res.timings.connect.count() > 0 && res.timings.first_byte >= res.timings.connect && res.timings.total >= res.timings.first_byte;
    CHECK(timed);
    CHECK(hc.active() == 0);
}

EDDY_TEST("every method arrives with its body and its headers") {
    http::server hs{[](http::request q) -> task<http::response> {
        co_return http::response{200, q.method + "|" + q.body + "|" + q.header("Content-Type") + "|" + q.header("X-Mine") + "|" +
                                          q.header("User-Agent") + "|" + q.header("Expect")};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.user_agent = "tester/1"}};
    http::header_list mine;
    mine.add("X-Mine", "m");
    const http::request_options options{.content_type = "text/plain", .headers = mine};
    const http::response plain = co_await hc.get(hs.url());
    CHECK(plain.body == "GET||||tester/1|");
    const http::response post = co_await hc.post(hs.url(), "data", options);
    CHECK(post.body == "POST|data|text/plain|m|tester/1|");
    const http::response empty = co_await hc.post(hs.url(), "");
    CHECK(empty.body == "POST||||tester/1|");
    const http::response put = co_await hc.put(hs.url(), "data", options);
    CHECK(put.body == "PUT|data|text/plain|m|tester/1|");
    const http::response patch = co_await hc.patch(hs.url(), "data", options);
    CHECK(patch.body == "PATCH|data|text/plain|m|tester/1|");
    const http::response del = co_await hc.del(hs.url());
    CHECK(del.body == "DELETE||||tester/1|");
    const http::response other = co_await hc.request("QUERY", hs.url(), "q");
    CHECK(other.body == "QUERY|q|||tester/1|");
    const http::response get_with_body = co_await hc.request("GET", hs.url(), "b");
    CHECK(get_with_body.body == "GET|b|||tester/1|");
    CHECK(hc.connections() == 1);
}

EDDY_TEST("head has headers and no body") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, "12345"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.head(hs.url());
    CHECK(res.header("Content-Length") == "5");
    CHECK(res.body.empty());
}

EDDY_TEST("an error status is a response") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{q.target == "/404" ? 404 : 503, "sorry"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response not_found = co_await hc.get(hs.url("/404"));
    CHECK(not_found.status == 404);
    CHECK(not_found.body == "sorry");
    const http::response unavailable = co_await hc.get(hs.url("/503"));
    CHECK(unavailable.status == 503);
    CHECK_FALSE(unavailable.ok());
}

EDDY_TEST("redirects are followed, and only the last response is given") {
    http::server hs{redirecting};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.get(hs.url("/3"));
    CHECK(res.status == 200);
    CHECK(res.body == "GET ");
    CHECK(res.redirects == 3);
    CHECK(res.url == hs.url("/0?s=302"));
    CHECK(res.header("Location").empty());
    const http::response first = co_await hc.get(hs.url("/3"), {.max_redirects = 0});
    CHECK(first.status == 302);
    CHECK(first.header("Location") == "/2?s=302");
}

EDDY_TEST("a redirect keeps the method or turns it into GET, by its status") {
    http::server hs{redirecting};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    std::string log;
    const std::array<std::pair<const char*, const char*>, 9> cases{{{"POST", "302"},
                                                                    {"POST", "303"},
                                                                    {"POST", "307"},
                                                                    {"PUT", "302"},
                                                                    {"PUT", "303"},
                                                                    {"PUT", "308"},
                                                                    {"PATCH", "303"},
                                                                    {"PATCH", "307"},
                                                                    {"HEAD", "303"}}};
    for (const auto& [method, status] : cases) {
        const std::string body = method == "HEAD"sv ? "" : "b";
        const http::response res = co_await hc.request(method, hs.url("/2?s=" + std::string(status)), body);
        log += std::string(method) + " " + status + ": " + res.body + "\n";
    }
    CHECK(log ==
          "POST 302: GET \nPOST 303: GET \nPOST 307: POST b\nPUT 302: PUT b\nPUT 303: GET \nPUT 308: PUT b\n"
          "PATCH 303: GET \nPATCH 307: PATCH b\nHEAD 303: \n");
}

EDDY_TEST("credentials do not follow a redirect to another server") {
    std::string seen;
    http::server other{[&](http::request q) -> task<http::response> {
        seen = q.header("Authorization") + "|" + q.header("Cookie") + "|" + q.header("X-Mine");
        co_return http::response{200, "other"};
    }};
    co_await other.listen({"127.0.0.1", 0});
    http::server hs{[&](http::request) -> task<http::response> { co_return http::response(302).set("Location", other.url()); }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    http::header_list h;
    h.add("Authorization", "Bearer secret");
    h.add("Cookie", "c=1");
    h.add("X-Mine", "m");
    const http::response res = co_await hc.get(hs.url(), {.headers = h});
    CHECK(res.body == "other");
    CHECK(seen == "||m");
}

EDDY_TEST("compressed bodies are unpacked, unless that is switched off") {
    std::string offered;
    http::server hs{[&](http::request q) -> task<http::response> {
        offered = q.header("Accept-Encoding");
        co_return http::response{200, std::string(zipped)}.set("Content-Encoding", "gzip");
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.get(hs.url());
    CHECK(res.body.size() == 110);
    CHECK(res.body.starts_with("compressed compressed "));
    CHECK(res.bytes == zipped.size());
    CHECK(offered.find("gzip") != std::string::npos);
    http::client plain{{.compression = false}};
    const http::response raw = co_await plain.get(hs.url());
    CHECK((raw.body == zipped));
    CHECK(offered.empty());
}

EDDY_TEST("a hundred transfers run at the same time") {
    event all_there;
    int inside = 0;
    http::server hs{[&](http::request q) -> task<http::response> {
        if (++inside == 100) all_there.set();
        co_await all_there.wait();
        co_return http::response{200, q.target};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    std::vector<task<http::response>> requests;
    for (int i = 0; i < 100; ++i) requests.push_back(hc.get(hs.url("/" + std::to_string(i))));
    const std::vector<http::response> all = co_await gather(std::move(requests));
    int right = 0;
    for (int i = 0; i < 100; ++i) right += all[static_cast<std::size_t>(i)].body == "/" + std::to_string(i) ? 1 : 0;
    CHECK(right == 100);
    CHECK(hc.active() == 0);
}

EDDY_TEST("requests above the limit for a host wait for a connection") {
    int inside = 0;
    int most = 0;
    http::server hs{[&](http::request) -> task<http::response> {
        most = std::max(most, ++inside);
        co_await sleep_for(1s);
        --inside;
        co_return http::response{200, "ok"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.max_connections_per_host = 3}};
    std::vector<task<http::response>> requests;
    for (int i = 0; i < 12; ++i) requests.push_back(hc.get(hs.url()));
    const std::vector<http::response> all = co_await gather(std::move(requests));
    CHECK(all.size() == 12);
    CHECK(most == 3);
    CHECK(hc.connections() <= 3);
}

EDDY_TEST("requests above the limit for all hosts wait for a connection") {
    int inside = 0;
    int most = 0;
    auto handler = [&](http::request) -> task<http::response> {
        most = std::max(most, ++inside);
        co_await sleep_for(1s);
        --inside;
        co_return http::response{200, "ok"};
    };
    http::server one{handler};
    http::server two{handler};
    co_await one.listen({"127.0.0.1", 0});
    co_await two.listen({"127.0.0.1", 0});
    http::client hc{{.max_connections = 2}};
    std::vector<task<http::response>> requests;
    for (int i = 0; i < 4; ++i) {
        requests.push_back(hc.get(one.url()));
        requests.push_back(hc.get(two.url()));
    }
    const std::vector<http::response> all = co_await gather(std::move(requests));
    CHECK(all.size() == 8);
    CHECK(most <= 2);
}

EDDY_TEST("as many connections are kept for later as the limit says; 0 is no limit") {
    event all_there;
    int inside = 0;
    http::server hs{[&](http::request) -> task<http::response> {
        if (++inside == 3) all_there.set();
        co_await all_there.wait();
        co_return http::response{200};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    for (const std::size_t limit : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
        inside = 0;
        all_there.clear();
        http::client hc{{.max_idle_connections = limit}};
        std::vector<task<http::response>> requests;
        for (int i = 0; i < 3; ++i) requests.push_back(hc.get(hs.url()));
        const std::vector<http::response> answers = co_await gather(std::move(requests));
        CHECK(answers.size() == 3);
        co_await testing::settle();
        CHECK(hc.connections() == (limit == 0 ? 3U : limit));
    }
}

EDDY_TEST("a connection is used again, and replaced when the server closed it") {
    http::server hs{[](http::request q) -> task<http::response> {
        http::response r{200, "ok"};
        if (q.target == "/close") r.close_connection();
        co_return r;
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response first = co_await hc.get(hs.url());
    const http::response second = co_await hc.get(hs.url("/close"));
    const http::response third = co_await hc.get(hs.url());
    CHECK_FALSE(first.connection_reused);
    CHECK(second.connection_reused);
    CHECK_FALSE(third.connection_reused);
    CHECK(hc.connections() == 1);
}

EDDY_TEST("an idle connection that the server gave up is not used") {
    http::server hs{echo, {.idle_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response first = co_await hc.get(hs.url());
    while (hs.connections() > 0) co_await sleep_for(1s);
    const http::response second = co_await hc.get(hs.url("/2"));
    CHECK(second.body == "GET /2");
    CHECK_FALSE(second.connection_reused);
}

EDDY_TEST("large bodies go both ways") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{200, std::move(q.body)}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::string body(5'000'000, 'z');
    const http::response posted = co_await hc.post(hs.url(), body);
    CHECK((posted.body == body));
    const http::response put = co_await hc.put(hs.url(), body);
    CHECK((put.body == body));
}

EDDY_TEST("options are copied by the call: what they refer to may go before the request runs") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{200, q.header("X") + q.header("Content-Type")}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    auto make = [&]() {
        http::header_list h;
        h.add("X", std::string(100, 'x'));
        const std::string type(100, 't');
        return hc.post(hs.url(), "b", {.content_type = type, .headers = h});
    };
    task<http::response> request = make();
    const http::response res = co_await std::move(request);
    CHECK(res.body == std::string(100, 'x') + std::string(100, 't'));
}

EDDY_TEST_REAL("names are resolved without holding the loop") {
    http::server hs{echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.get("http://localhost:" + std::to_string(hs.port()) + "/n");
    CHECK(res.body == "GET /n");
    const std::optional<http::error_kind> unknown = co_await failure_of(hc.get("http://no-such-host.invalid/"));
    CHECK(unknown == http::error_kind::resolve);
}
