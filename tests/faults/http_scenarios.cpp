#include "faults/scenarios.hpp"

#if __has_include(<eddy/http.hpp>)

#include <array>
#include <stdexcept>

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

constexpr std::array http_list{scenario{"http_serving", &serving}};

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
