// The server on a Unix-domain socket, and the client that goes there.
#include "http/support.hpp"

#include <unistd.h>

#include <vector>

#include <eddy/fs.hpp>

using namespace http_tests;

EDDY_TEST("a server on a Unix-domain socket, and a client of it") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/server.sock";
    std::vector<std::string> lines;
    http::server hs{echo};
    hs.on_access([&](const http::access_record& r) { lines.push_back(http::common_log_line(r)); });
    co_await hs.listen(unix_endpoint(path), {.cleanup = true});
    CHECK(hs.port() == 0);
    CHECK(hs.url("/x") == "http://localhost/x");
    http::client hc{{.unix_socket = path}};
    const http::response first = co_await hc.get(hs.url("/a"));
    CHECK(first.body == "GET /a");
    const http::response second = co_await hc.post("http://a.example/b", "body");
    CHECK(second.body == "POST /b body");
    const http::response third = co_await hc.get(hs.url("/c"));
    CHECK(third.connection_reused);
    CHECK(hc.connections() >= 1);
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].starts_with("unix: - - ["));
    hc.close();
    co_await hs.shutdown(5s);
    const bool file_is_left = co_await fs::exists(path);
    CHECK_FALSE(file_is_left);
}

EDDY_TEST("a server and a client on a name of the abstract namespace") {
    const std::string name = "@eddy-http-" + std::to_string(::getpid());
    http::server hs{[](http::request q) -> task<http::response> {
        co_return http::response{200, q.remote == ip_endpoint() ? "nobody" : q.remote.to_string()};
    }};
    auto serving = spawn(hs.serve(unix_listener::bind(name)));
    http::client hc{{.unix_socket = name}};
    const http::response res = co_await hc.get("http://localhost/");
    CHECK(res.body == "nobody");
    hc.close();
    co_await hs.shutdown(5s);
    co_await serving;
}

EDDY_TEST("where nobody listens on the Unix-domain socket, it is a connect error") {
    http::client hc{{.unix_socket = "/nowhere/at/all"}};
    const auto failure = co_await failure_of(hc.get("http://localhost/"));
    CHECK(failure == http::error_kind::connect);
}

TEST_CASE("what cannot be a Unix-domain socket of a client") {
    const std::string long_one(200, 'x');
    CHECK_THROWS_AS(http::client(http::client_options{.unix_socket = long_one}), std::invalid_argument);
    CHECK_THROWS_AS(http::client(http::client_options{.proxy = "http://p.example", .unix_socket = "/a"}), std::invalid_argument);
}

EDDY_TEST("a server that wraps its connections does not listen on a Unix-domain socket") {
    http::server hs{echo};
    hs.wrap([](tcp_stream s) -> task<tcp_stream> { co_return s; });
    bool refused = false;
    try {
        co_await hs.listen(unix_endpoint("@eddy-http-wrapped-" + std::to_string(::getpid())));
    } catch (const std::logic_error&) {
        refused = true;
    }
    CHECK(refused);
}
