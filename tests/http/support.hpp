// What the HTTP tests share: a server to talk to, and a raw connection to say anything on.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/eddy.hpp>
#include <eddy/http.hpp>
#include <eddy/testing.hpp>

namespace http_tests {

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using namespace eddy;

/// A connection to a server on this machine, as text.
class raw_connection {
public:
    explicit raw_connection(tcp_stream s) : stream_(std::move(s)) {}

    static task<raw_connection> open(std::uint16_t port) {
        tcp_stream s = co_await tcp_connect(ip_endpoint("127.0.0.1", port));
        co_return raw_connection(std::move(s));
    }
    task<> send(std::string text) { co_await stream_.write(std::string_view(text)); }
    task<> end_sending() { co_await stream_.shutdown_write(); }
    /// Everything until the server closes; "…reset" at the end if it resets the connection.
    task<std::string> read_to_end() {
        std::string all;
        for (;;) {
            std::string part = co_await read_part();
            if (part.empty()) co_return all;
            all += part;
            if (part == "<reset>") co_return all;
        }
    }
    /// Until `text` has come `times` times.
    task<std::string> read_until(std::string_view text, std::size_t times = 1) {
        std::string all;
        while (count(all, text) < times) {
            std::string part = co_await read_part();
            if (part.empty()) co_return all + "<end>";
            all += part;
        }
        co_return all;
    }
    /// Sends and reads to the end.
    task<std::string> ask(std::string text) {
        co_await send(std::move(text));
        co_return co_await read_to_end();
    }
    tcp_stream& stream() { return stream_; }

    static std::size_t count(std::string_view where, std::string_view what) {
        std::size_t n = 0;
        for (std::size_t at = where.find(what); at != std::string_view::npos; at = where.find(what, at + what.size())) ++n;
        return n;
    }

private:
    task<std::string> read_part() {
        std::array<std::byte, 4096> buffer{};
        const std::span<std::byte> space(buffer);
        outcome<std::size_t> n = co_await as_result(stream_.read_some(space));
        if (n.cancelled()) co_await this_task::checkpoint();
        if (!n) co_return "<reset>";
        co_return std::string(reinterpret_cast<const char*>(buffer.data()), *n);
    }
    tcp_stream stream_;
};

/// The first line of a response.
inline std::string status_line(const std::string& response) {
    return response.substr(0, response.find("\r\n"));
}
/// What follows the headers.
inline std::string body_of(const std::string& response) {
    const std::size_t end = response.find("\r\n\r\n");
    return end == std::string::npos ? "<no body>" : response.substr(end + 4);
}

/// Answers with what it was asked: "GET /path?query body".
inline task<http::response> echo(http::request q) {
    co_return http::response{200, q.method + " " + q.target + (q.body.empty() ? "" : " " + q.body)};
}

/// Awaits and gives the kind of http::error it throws; nullopt if it throws none.
inline task<std::optional<http::error_kind>> failure_of(task<http::response> request) {
    try {
        co_await std::move(request);
    } catch (const http::error& e) {
        co_return e.kind();
    }
    co_return std::nullopt;
}

/// What the loop's exception handler got.
class reported {
public:
    reported() {
        this_loop().set_exception_handler([this](const error_context& c) { messages += std::string(c.message) + "\n"; });
    }
    reported(const reported&) = delete;
    reported& operator=(const reported&) = delete;
    ~reported() { this_loop().set_exception_handler({}); }
    std::string messages;
};

} // namespace http_tests
