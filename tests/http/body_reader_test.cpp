// The body of a request, read by the handler while it arrives.
#include "http/support.hpp"

#include <vector>

using namespace http_tests;

namespace {

const std::string chunked_post = "POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What one read gives, as text.
task<std::string> read_body_part(http::body_reader& body, std::size_t most = 4096) {
    std::vector<std::byte> buffer(most);
    const std::size_t n = co_await body.read_some(buffer);
    co_return std::string(reinterpret_cast<const char*>(buffer.data()), n);
}

/// Reads all and answers with it.
task<http::response> answer_parts(const http::request& q, http::body_reader& body) {
    std::string all;
    for (std::string part = co_await read_body_part(body); !part.empty(); part = co_await read_body_part(body)) all += part + "|";
    co_return http::response{200, q.target + " " + all};
}

} // namespace

EDDY_TEST("body_reader: a handler sees the parts of a body as they come") {
    std::vector<std::string> parts;
    http::server hs{[&](const http::request& q, http::body_reader& body) -> task<http::response> {
        CHECK(q.body.empty());
        CHECK_FALSE(body.content_length());
        CHECK_FALSE(body.complete());
        for (std::string part = co_await read_body_part(body); !part.empty(); part = co_await read_body_part(body)) parts.push_back(part);
        CHECK(body.complete());
        CHECK(body.received() == 6);
        co_return http::response{200, "done"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(chunked_post);
    co_await testing::settle();
    co_await c.send("3\r\nabc\r\n");
    while (parts.empty()) co_await sleep_for(1ms);
    CHECK(parts.front() == "abc");
    co_await c.send("3\r\ndef\r\n0\r\n\r\n");
    const std::string first = co_await c.read_until("done");
    CHECK(first.find("Connection: close") == std::string::npos);
    const std::vector<std::string> expected{"abc", "def"};
    CHECK(parts == expected);
}

EDDY_TEST("body_reader: bodies with a length, without one, and none at all") {
    http::server hs{[](http::request q, http::body_reader& body) -> task<http::response> {
        const std::string length = body.content_length() ? std::to_string(*body.content_length()) : "?";
        std::string all = co_await body.read_all();
        const std::string after = co_await read_body_part(body);
        co_return http::response{200, q.method + " " + length + " " + all + after};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response with_length = co_await hc.post(hs.url(), "12345");
    CHECK(with_length.body == "POST 5 12345");
    const http::response none = co_await hc.get(hs.url());
    CHECK(none.body == "GET 0 ");
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string chunked = co_await c.ask("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    CHECK(body_of(chunked) == "POST ? x");
}

EDDY_TEST("body_reader: a stream has no limit, the whole body has, and each says its own") {
    http::server hs{[](http::request q, http::body_reader& body) -> task<http::response> {
                        if (q.target == "/stream") {
                            std::uint64_t n = 0;
                            for (std::string part = co_await read_body_part(body); !part.empty(); part = co_await read_body_part(body)) n += part.size();
                            co_return http::response{200, std::to_string(n)};
                        }
                        if (q.target != "/three") co_return http::response{200, co_await body.read_all()};
                        co_return http::response{200, co_await body.read_all(3)};
                    },
                    {.max_body = 10}};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response stream = co_await hc.post(hs.url("/stream"), std::string(300'000, 'x'));
    CHECK(stream.body == "300000");
    const http::response fits = co_await hc.post(hs.url("/whole"), "1234567890");
    CHECK(fits.body == "1234567890");
    const http::response large = co_await hc.post(hs.url("/whole"), "12345678901");
    CHECK(large.status == 413);
    const http::response own = co_await hc.post(hs.url("/three"), "1234");
    CHECK(own.status == 413);
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string chunks = co_await c.ask("POST /three HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n");
    CHECK(status_line(chunks) == "HTTP/1.1 413 Content Too Large");
}

EDDY_TEST("body_reader: read_all after a part counts and gives what is left") {
    http::server hs{[](const http::request& q, http::body_reader& body) -> task<http::response> {
        const std::string first = co_await read_body_part(body, 2);
        const std::uint64_t most = q.target == "/short" ? 3 : 4;
        std::string rest = co_await body.read_all(most);
        co_return http::response{200, first + "," + rest};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response fits = co_await hc.post(hs.url("/"), "abcdef");
    CHECK(fits.body == "ab,cdef");
    const http::response beyond = co_await hc.post(hs.url("/short"), "abcdef");
    CHECK(beyond.status == 413);
}

EDDY_TEST("body_reader: the client is invited when the handler reads, and not if it does not") {
    http::server hs{[](const http::request& q, http::body_reader& body) -> task<http::response> {
        if (q.target == "/no") co_return http::response{403, "no"};
        std::string all = co_await body.read_all();
        co_return http::response{200, all};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    const std::string head = " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    raw_connection refused = co_await raw_connection::open(hs.port());
    const std::string no = co_await refused.ask("PUT /no" + head);
    CHECK(status_line(no) == "HTTP/1.1 403 Forbidden");
    CHECK(no.find("\r\nConnection: close\r\n") != std::string::npos);
    raw_connection taken = co_await raw_connection::open(hs.port());
    co_await taken.send("PUT /yes" + head);
    const std::string go_on = co_await taken.read_until("\r\n\r\n");
    CHECK(go_on == "HTTP/1.1 100 Continue\r\n\r\n");
    co_await taken.send("ok");
    const std::string yes = co_await taken.read_until("\r\n\r\nok");
    CHECK(status_line(yes) == "HTTP/1.1 200 OK");
    CHECK(yes.find("Connection: close") == std::string::npos);
}

EDDY_TEST("body_reader: a body that is not read ends the connection after the answer, which arrives") {
    http::server hs{[](const http::request&, http::body_reader&) -> task<http::response> { co_return http::response{200, "enough"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + std::string(50'000, 'x'));
    co_await c.end_sending();
    const std::string got = co_await c.read_to_end();
    CHECK(body_of(got) == "enough");
    CHECK(got.find("\r\nConnection: close\r\n") != std::string::npos);
}

EDDY_TEST("body_reader: what is wrong with a body is the client's status, and nobody is told") {
    reported r;
    http::server hs{answer_parts, {.body_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection broken = co_await raw_connection::open(hs.port());
    const std::string malformed = co_await broken.ask(chunked_post + "3\r\nabcX\r\n0\r\n\r\n");
    CHECK(status_line(malformed) == "HTTP/1.1 400 Bad Request");
    raw_connection slow = co_await raw_connection::open(hs.port());
    const std::string late = co_await slow.ask(chunked_post + "3\r\nab");
    CHECK(status_line(late) == "HTTP/1.1 408 Request Timeout");
    raw_connection gone = co_await raw_connection::open(hs.port());
    co_await gone.send(chunked_post + "3\r\nab");
    co_await gone.end_sending();
    const std::string nothing = co_await gone.read_to_end();
    CHECK(nothing.empty());
    CHECK(r.messages.empty());
}

EDDY_TEST("body_reader: what came before the error is read first") {
    std::string seen;
    std::string why;
    http::server hs{[&](const http::request&, http::body_reader& body) -> task<http::response> {
        seen = co_await read_body_part(body);
        try {
            co_await read_body_part(body);
        } catch (const http::request_error& e) {
            why = std::to_string(e.status());
        }
        co_return http::response{200, "told"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask(chunked_post + "3\r\nabc\r\nzz\r\n");
    CHECK(body_of(got) == "told");
    CHECK(seen == "abc");
    CHECK(why == "400");
}

EDDY_TEST("body_reader: cancelled, a read has taken nothing; a second reader is refused") {
    bool busy = false;
    http::server hs{[&](const http::request&, http::body_reader& body) -> task<http::response> {
        auto reading = spawn([&]() -> task<std::string> { return read_body_part(body); });
        co_await testing::settle();
        try {
            co_await read_body_part(body);
        } catch (const busy_resource&) {
            busy = true;
        }
        co_await reading.cancel_and_join();
        auto whole = spawn([&]() -> task<std::string> { return body.read_all(); });
        co_await testing::settle();
        co_await whole.cancel_and_join();
        std::string all = co_await body.read_all();
        co_return http::response{200, all};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
    while (!busy) co_await sleep_for(1ms);
    co_await testing::settle();
    co_await c.send("kept");
    const std::string got = co_await c.read_until("kept");
    CHECK(status_line(got) == "HTTP/1.1 200 OK");
}

EDDY_TEST("body_reader: an answer that is made from the body as it comes") {
    http::server hs{[](const http::request&, http::body_reader& body) -> task<http::response> {
        co_return http::response::stream(200, "text/plain", [&body](http::body_writer& out) -> task<> {
            for (std::string part = co_await read_body_part(body); !part.empty(); part = co_await read_body_part(body)) co_await out.write("<" + part + ">");
        });
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(chunked_post + "1\r\na\r\n");
    const std::string first = co_await c.read_until("<a>");
    CHECK(status_line(first) == "HTTP/1.1 200 OK");
    co_await c.send("1\r\nb\r\n0\r\n\r\n");
    const std::string rest = co_await c.read_to_end();
    CHECK(rest.find("<b>") != std::string::npos);
    CHECK(rest.ends_with("0\r\n\r\n"));
}

EDDY_TEST("body_reader: nobody is invited in the middle of an answer") {
    http::server hs{[](const http::request&, http::body_reader& body) -> task<http::response> {
        co_return http::response::stream(200, "text/plain", [&body](http::body_writer& out) -> task<> {
            const std::string all = co_await body.read_all();
            co_await out.write(std::string_view(all));
        });
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const std::string head = co_await c.read_until("\r\n\r\n");
    CHECK(status_line(head) == "HTTP/1.1 200 OK");
    co_await c.send("body");
    const std::string rest = co_await c.read_to_end();
    CHECK(rest == "4\r\nbody\r\n0\r\n\r\n");
}

EDDY_TEST("request_error: a handler refuses with a status of its own") {
    reported r;
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/teapot") throw http::request_error(418, "short and stout");
        co_return http::response{200, "ok"};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response pot = co_await hc.get(hs.url("/teapot"));
    CHECK(pot.status == 418);
    CHECK(pot.body.find("short and stout") != std::string::npos);
    const http::response next = co_await hc.get(hs.url("/"));
    CHECK(next.connection_reused);
    CHECK(r.messages.empty());
    CHECK_THROWS_AS(http::request_error(500, "x"), std::invalid_argument);
    CHECK_THROWS_AS(http::request_error(399, "x"), std::invalid_argument);
}

EDDY_TEST("body_reader: a handler is tested with a body in memory; a router takes both kinds") {
    http::body_reader body{"some text"};
    CHECK(body.content_length() == 9U);
    CHECK(body.complete());
    const std::string part = co_await read_body_part(body, 4);
    const std::string rest = co_await body.read_all();
    const std::string end = co_await read_body_part(body);
    CHECK(part + "|" + rest + "|" + end == "some| text|");

    http::router routes;
    routes.post("/stream", answer_parts);
    routes.post("/whole", echo);
    http::request q;
    q.method = "POST";
    q.target = "/stream";
    q.body = "x";
    const http::response direct = co_await routes(q);
    CHECK(direct.body == "/stream x|");
    http::server hs{std::move(routes)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response stream = co_await hc.post(hs.url("/stream"), "abc");
    const http::response whole = co_await hc.post(hs.url("/whole"), "abc");
    CHECK(stream.body == "/stream abc|");
    CHECK(whole.body == "POST /whole abc");
}

// Not in an anonymous namespace: GCC 12 then takes write_one_by_one for undefined.
namespace body_reader_tests {

/// TCP, whose first write waits before it begins.
class late_stream {
public:
    explicit late_stream(tcp_stream s) : below_(std::move(s)) {}
    task<std::size_t> read_some(std::span<std::byte> buffer) { co_return co_await below_.read_some(buffer); }
    task<> write(std::span<const std::byte> bytes) {
        if (!std::exchange(waited_, true)) co_await sleep_for(1h);
        co_await below_.write(bytes);
    }
    task<> shutdown_write() { co_await below_.shutdown_write(); }
    task<> close() { co_await below_.close(); }
    void abort() noexcept { below_.abort(); }
    [[nodiscard]] bool is_open() const noexcept { return below_.is_open(); }

private:
    tcp_stream below_;
    bool waited_ = false;
};

} // namespace body_reader_tests

using body_reader_tests::late_stream;

EDDY_TEST("100 Continue that was cancelled before its first byte is said by the next read") {
    bool gave_up = false;
    http::server hs{[&](http::request, http::body_reader& body) -> task<http::response> {
        auto read = [&](cancel_scope&) -> task<> { static_cast<void>(co_await body.read_all()); };
        const bool in_time = co_await move_on_after(1s, read);
        gave_up = !in_time;
        std::string text = co_await body.read_all();
        co_return http::response{200, std::move(text)};
    }};
    hs.wrap([](tcp_stream s) -> task<late_stream> { co_return late_stream(std::move(s)); });
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const std::string go_on = co_await c.read_until("\r\n\r\n");
    CHECK(go_on == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(gave_up);
    co_await c.send("body");
    const std::string got = co_await c.read_until("body");
    CHECK(status_line(got) == "HTTP/1.1 200 OK");
}
