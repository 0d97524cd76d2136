// The interface by example: HTTP.
#include <eddy/eddy.hpp>
#include <eddy/http.hpp>
#include <eddy/testing.hpp>

#include <string>

using namespace eddy;
using namespace std::chrono_literals;

EDDY_TEST("the interface: an HTTP server and a client") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{q.target == "/" ? 200 : 404, "hi"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::string url = "http://127.0.0.1:" + std::to_string(hs.port()) + "/";
    http::response res = co_await hc.get(url);
    CHECK(res.status == 200);
    CHECK(res.body == "hi");
    CHECK(res.header("content-length") == "2");
    auto page = co_await with_timeout(2s, [&](auto&) -> task<http::response> { co_return co_await hc.get(url); });
    CHECK(page.body == "hi");
}
