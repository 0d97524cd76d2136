#include "faults/scenarios.hpp"

#if __has_include(<eddy/http.hpp>)

#include <array>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <eddy/eddy.hpp>
#include <eddy/http.hpp>

#include "faults/fault.hpp"

namespace faults {
namespace {

using namespace eddy;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

task<http::response> answer(http::request q) {
    co_return http::response{200, q.method + " " + q.target + " " + q.body};
}

// Over a plain connection, without libcurl.
task<> serving(std::string) {
    const fault::armed here;
    http::server s{&answer};
    co_await s.listen({"127.0.0.1", 0});
    const ip_endpoint at("127.0.0.1", s.port());
    {
        tcp_stream c = co_await tcp_connect(at);
        co_await c.write("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                         "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"sv);
        buffered_reader r{c};
        std::string all = co_await r.read_to_end();
        const bool complete = all.find("POST /a hello") != std::string::npos && all.find("GET /b") != std::string::npos;
        if (!complete) throw std::runtime_error("the server closed the connection after '" + all + "'");
        expect(all.substr(0, 15), "HTTP/1.1 200 OK");
    }
    co_await s.shutdown(1s);
}

task<> echo_messages(http::websocket& ws) {
    for (;;) {
        std::optional<http::websocket_message> m = co_await ws.read();
        if (!m) co_return;
        co_await ws.send(std::move(m->data));
    }
}

task<> websockets(std::string) {
    const fault::armed here;
    http::server s{[](const http::request& q) -> task<http::response> { co_return http::websocket::accept(q, &echo_messages); }};
    co_await s.listen({"127.0.0.1", 0});
    {
        http::websocket w = co_await http::websocket_connect("ws://127.0.0.1:" + std::to_string(s.port()) + "/");
        co_await w.send("hello"sv);
        const std::optional<http::websocket_message> m = co_await w.read();
        if (!m) throw std::runtime_error("the server closed the websocket: " + std::to_string(w.close_code()));
        expect(m->data, "hello");
        co_await w.close();
    }
    co_await s.shutdown(1s);
}

task<> files(std::string folder) {
    const std::string text(100'000, 'x');
    co_await write_file(folder + "/page.txt", text);
    const fault::armed here;
    http::server s{http::static_files(folder)};
    co_await s.listen({"127.0.0.1", 0});
    {
        tcp_stream c = co_await tcp_connect(ip_endpoint("127.0.0.1", s.port()));
        co_await c.write("GET /page.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"sv);
        buffered_reader r{c};
        std::string all = co_await r.read_to_end();
        // A failure of the file system is a 500, one after the head a connection that ends early: the client sees both.
        if (!all.ends_with(text)) throw std::runtime_error("the server answered '" + all.substr(0, 40) + "', " + std::to_string(all.size()) + " bytes");
        expect(all.substr(0, 15), "HTTP/1.1 200 OK");
    }
    co_await s.shutdown(1s);
}

// --- the client, in which libcurl is

std::string stored() {
    return std::string(20'000, 's');
}

task<http::response> store(http::request q, http::body_reader& body) {
    if (q.method == "GET") co_return http::response{200, stored()}.set("ETag", "\"1\"");
    const std::string sent = co_await body.read_all();
    co_return http::response{200, q.method + " " + std::to_string(sent.size())};
}

/// The server fails too: that it says so is a success of the client's.
void expect_success(const http::response& r) {
    if (r.status != 200) throw std::runtime_error("the server answered " + std::to_string(r.status) + " " + r.body);
}

task<> ask_for_everything(http::client& c, const http::server& s, std::string folder) {
    http::response got = co_await c.get(s.url("/get"));
    expect_success(got);
    expect(got.body, stored());
    file up = co_await file::open(folder + "/up");
    http::response sent = co_await c.upload("PUT", s.url("/put"), std::move(up));
    expect_success(sent);
    expect(sent.body, "PUT 5000");
    http::download_result down = co_await c.download(s.url("/down"), folder + "/down");
    expect(std::to_string(down.size), "20000");
}

/// What libcurl makes of a failing call is its own affair, but it ends, says what failed, and the client is still of use. A download
/// is there as a whole or not at all, and what it has left is gone on with.
task<> clients(std::string folder) {
    co_await write_file(folder + "/up", std::string(5000, 'u'));
    http::server s{&store};
    co_await s.listen({"127.0.0.1", 0});
    std::exception_ptr failure;
    {
        http::client c{{.timeout = 30s}};
        {
            const fault::armed here;
            outcome<> end = co_await as_result(ask_for_everything(c, s, folder));
            failure = end.exception();
        }
        outcome<std::string> before = co_await as_result(read_file(folder + "/down"));
        if (before) expect(before.value(), stored());
        co_await ask_for_everything(c, s, folder);
        std::string now = co_await read_file(folder + "/down");
        expect(now, stored());
    }
    co_await s.shutdown(1s);
    if (failure) std::rethrow_exception(failure);
}

constexpr std::array http_list{
    scenario{"http_serving", &serving},
    scenario{"websockets", &websockets},
    scenario{"static_files", &files},
    scenario{"http_client", &clients, testing::test_time::jumps, false}, // libcurl takes a connect that was interrupted for one that failed
};

} // namespace

std::span<const scenario> http_scenarios() noexcept {
    return http_list;
}

} // namespace faults

#else

namespace faults {
std::span<const scenario> http_scenarios() noexcept {
    return {};
}
} // namespace faults

#endif
