#include "faults/scenarios.hpp"

#if __has_include(<eddy/http.hpp>)

#include <array>
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

// Over a plain connection: what libcurl makes of a failing call is its own affair.
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

constexpr std::array http_list{
    scenario{"http_serving", &serving},
    scenario{"websockets", &websockets},
    scenario{"static_files", &files},
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
