// Responses whose bodies are made while they are sent.
#include "http/support.hpp"

#include <memory>
#include <stdexcept>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"

using namespace http_tests;

namespace {

/// A server whose answer to everything is made by `produce`.
template <class F>
auto streaming(F produce) {
    return [produce](http::request) -> task<http::response> { co_return http::response::stream(200, "text/plain", produce); };
}
const std::string one_get = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string last_request = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

} // namespace

EDDY_TEST("a body of unknown length goes out in chunks, each as it is written") {
    event proceed;
    http::server hs{streaming([&](http::body_writer& out) -> task<> {
        co_await out.write("first");
        co_await out.write("");
        co_await proceed.wait();
        co_await out.write(std::string(20, 'x'));
        CHECK(out.written() == 25);
    })};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(one_get);
    const std::string begun = co_await c.read_until("first\r\n");
    CHECK(begun.find("\r\nTransfer-Encoding: chunked\r\n") != std::string::npos);
    CHECK(begun.find("Content-Length") == std::string::npos);
    CHECK(body_of(begun) == "5\r\nfirst\r\n");
    proceed.set();
    const std::string rest = co_await c.read_until("0\r\n\r\n");
    CHECK(rest == "14\r\n" + std::string(20, 'x') + "\r\n0\r\n\r\n");
    const std::string next = co_await c.ask(last_request); // the connection goes on
    CHECK(next.ends_with("0\r\n\r\n"));
}

EDDY_TEST("the client puts chunks together, also large ones") {
    http::server hs{streaming([](http::body_writer& out) -> task<> {
        const std::string block(300'000, 'a');
        for (int i = 0; i < 10; ++i) co_await out.write(block);
    })};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response r = co_await hc.get(hs.url());
    CHECK(r.body == std::string(3'000'000, 'a'));
}

EDDY_TEST("a length that was announced is sent, and kept to") {
    reported problems;
    http::server hs{[](http::request q) -> task<http::response> {
        co_return http::response::stream(200, "text/plain", [text = std::string(q.path().substr(1))](http::body_writer& out) -> task<> {
            co_await out.write(text);
        }).content_length(5);
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string right = co_await c.ask("GET /12345 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(right.find("\r\nContent-Length: 5\r\n") != std::string::npos);
    CHECK(right.find("chunked") == std::string::npos);
    CHECK(body_of(right) == "12345");
    CHECK(problems.messages.empty());

    raw_connection s = co_await raw_connection::open(hs.port());
    const std::string too_short = co_await s.ask("GET /1234 HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(too_short.ends_with("<reset>"));
    CHECK(problems.messages == "the body of an HTTP response failed: GET /1234\n");

    raw_connection l = co_await raw_connection::open(hs.port());
    const std::string too_long = co_await l.ask("GET /123456 HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(too_long.ends_with("<reset>"));
    CHECK(too_long.find("123456") == std::string::npos);
}

EDDY_TEST("an announced length that is no number is the handler's failure") {
    reported problems;
    http::server hs{[](http::request) -> task<http::response> {
        co_return http::response::stream(200, "text/plain", [](http::body_writer&) -> task<> { co_return; }).set("Content-Length", "five");
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask(last_request);
    CHECK(status_line(got) == "HTTP/1.1 500 Internal Server Error");
    CHECK(problems.messages == "the handler of an HTTP request failed: GET /x\n");
}

EDDY_TEST("HTTP/1.0 has no chunks: the body ends with the connection") {
    http::server hs{streaming([](http::body_writer& out) -> task<> { co_await out.write("to the end"); })};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(got.find("chunked") == std::string::npos);
    CHECK(got.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(body_of(got) == "to the end");
}

EDDY_TEST("nobody makes the body of an answer that has none") {
    int made = 0;
    http::server hs{[&](http::request q) -> task<http::response> {
        co_return http::response::stream(q.target == "/204" ? 204 : 200, "text/plain", [&](http::body_writer& out) -> task<> {
            ++made;
            co_await out.write("body");
        });
    }};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /204 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    CHECK(raw_connection::count(got, "HTTP/1.1 ") == 2);
    CHECK(got.ends_with("\r\n\r\n"));
    CHECK(made == 0);
}

EDDY_TEST("a body that fails resets the connection and is reported") {
    reported problems;
    http::server hs{streaming([](http::body_writer& out) -> task<> {
        co_await out.write("half");
        throw std::runtime_error("no more");
    })};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string got = co_await c.ask(one_get);
    CHECK(got.ends_with("<reset>"));
    CHECK(problems.messages == "the body of an HTTP response failed: GET /x\n");
    http::client hc;
    const auto kind = co_await failure_of(hc.get(hs.url()));
    const bool not_whole = kind == http::error_kind::truncated || kind == http::error_kind::disconnected;
    CHECK(not_whole);
}

EDDY_TEST("a client that leaves ends the body, and is not reported") {
    reported problems;
    std::exception_ptr seen;
    http::server hs{streaming([&](http::body_writer& out) -> task<> {
        const std::string block(64 * 1024, 'x');
        try {
            for (;;) co_await out.write(block);
        } catch (...) {
            seen = std::current_exception();
            throw;
        }
    })};
    co_await hs.listen({"127.0.0.1", 0});
    {
        raw_connection c = co_await raw_connection::open(hs.port());
        co_await c.send(one_get);
        static_cast<void>(co_await c.read_until("xxxx"));
    }
    while (hs.connections() > 0) co_await sleep_for(1s);
    CHECK(seen);
    CHECK(problems.messages.empty());
}

EDDY_TEST("a client that does not read is cut off in the middle of a body") {
    reported problems;
    bool torn = false;
    http::server hs{streaming([&](http::body_writer& out) -> task<> {
                        const std::string block(64 * 1024, 'x');
                        try {
                            for (;;) co_await out.write(block);
                        } catch (const broken_resource&) {
                            torn = true;
                            throw;
                        }
                    }),
                    {.write_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(one_get);
    while (hs.connections() == 0) co_await sleep_for(1s);
    while (hs.connections() > 0) co_await sleep_for(1s);
    CHECK(torn);
    CHECK(problems.messages.empty());
}

EDDY_TEST("a shutdown lets a body end, or cancels it after the grace period") {
    for (const bool ends : {true, false}) {
        bool unwound = false;
        http::server hs{streaming([&, ends](http::body_writer& out) -> task<> {
            co_await out.write("begun ");
            try {
                co_await sleep_for(ends ? 2s : 24h);
            } catch (const operation_cancelled&) {
                unwound = true;
                throw;
            }
            co_await out.write("ended");
        })};
        co_await hs.listen({"127.0.0.1", 0});
        raw_connection c = co_await raw_connection::open(hs.port());
        co_await c.send(one_get);
        static_cast<void>(co_await c.read_until("begun \r\n"));
        co_await hs.shutdown(5s);
        const std::string rest = co_await c.read_to_end();
        CHECK(rest == (ends ? "5\r\nended\r\n0\r\n\r\n" : "<reset>"));
        CHECK(unwound == !ends);
    }
}

EDDY_TEST("files are sent in every framing") {
    io_test::temporary_folder folder;
    const std::string path = folder.file("f");
    std::string text;
    for (int i = 0; text.size() < 200'000; ++i) text += std::to_string(i) + " ";
    co_await write_file(path, text);
    auto handler = [&](http::request q) -> task<http::response> {
        http::response r = http::response::stream(200, "text/plain", [&](http::body_writer& out) -> task<> {
            file f = co_await file::open(path);
            const std::uint64_t sent = co_await out.send_file(f, 10, 150'000);
            CHECK(sent == 150'000);
            const std::uint64_t rest = co_await out.send_file(f, text.size() - 5);
            CHECK(rest == 5);
            CHECK(out.written() == 150'005);
        });
        if (q.target == "/length") r.content_length(150'005);
        co_return r;
    };
    http::server hs{handler};
    co_await hs.listen({"127.0.0.1", 0});
    const std::string whole = text.substr(10, 150'000) + text.substr(text.size() - 5);
    http::client hc;
    const http::response announced = co_await hc.get(hs.url("/length"));
    CHECK(announced.body == whole);
    const http::response chunked = co_await hc.get(hs.url("/chunks"));
    CHECK(chunked.body == whole);
    raw_connection c = co_await raw_connection::open(hs.port());
    const std::string to_the_end = co_await c.ask("GET / HTTP/1.0\r\n\r\n");
    CHECK(body_of(to_the_end) == whole);
}

EDDY_TEST("a client is not blamed for a busy disk: its time is that in which the socket has no room") {
    const io_test::temporary_folder folder;
    const std::string path = folder.file("f");
    co_await write_file(path, std::string(150'000, 'x'));
    event opened;
    event proceed;
    http::server hs{[&](http::request) -> task<http::response> {
                        http::response r = http::response::stream(200, "text/plain", [&](http::body_writer& out) -> task<> {
                            file f = co_await file::open(path);
                            opened.set();
                            co_await proceed.wait();
                            co_await out.send_file(f, 0, 150'000);
                        });
                        r.content_length(150'000);
                        co_return r;
                    },
                    {.write_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(last_request);
    co_await opened.wait();
    io_test::blocked_pool workers;
    co_await workers.block();
    const std::size_t jobs = this_loop().stats().pool_jobs;
    proceed.set();
    while (this_loop().stats().pool_jobs == jobs) co_await this_task::yield();
    testing::manual_clock clock;
    for (int i = 0; i < 3; ++i) {
        clock.hold(4s);
        co_await io_test::some_turns();
    }
    co_await workers.release();
    const std::string got = co_await c.read_to_end();
    CHECK(body_of(got).size() == 150'000);
}

EDDY_TEST("a client that does not read is cut off in the middle of a file") {
    reported problems;
    const io_test::temporary_folder folder;
    const std::string path = folder.file("f");
    co_await write_file(path, std::string(20'000'000, 'x'));
    bool torn = false;
    http::server hs{[&](http::request) -> task<http::response> {
                        http::response r = http::response::stream(200, "text/plain", [&](http::body_writer& out) -> task<> {
                            file f = co_await file::open(path);
                            try {
                                co_await out.send_file(f);
                            } catch (const broken_resource&) {
                                torn = true;
                                throw;
                            }
                        });
                        r.content_length(20'000'000);
                        co_return r;
                    },
                    {.write_timeout = 5s}};
    co_await hs.listen({"127.0.0.1", 0});
    raw_connection c = co_await raw_connection::open(hs.port());
    co_await c.send(one_get);
    while (hs.connections() == 0) co_await sleep_for(1s);
    const auto begin = loop_clock::now();
    while (hs.connections() > 0) co_await sleep_for(1s);
    CHECK(torn);
    CHECK(problems.messages.empty());
    const bool soon = loop_clock::now() - begin < 10s; // of the virtual clock
    CHECK(soon);
    const std::string got = co_await c.read_to_end();
    CHECK(got.ends_with("<reset>"));
}

EDDY_TEST("buffered writers and other layers go over a body") {
    http::server hs{streaming([](http::body_writer& out) -> task<> {
        buffered_writer w{out};
        for (int i = 0; i < 1000; ++i) co_await w.write(std::to_string(i) + "\n");
        co_await w.flush();
    })};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response r = co_await hc.get(hs.url());
    CHECK(r.body.starts_with("0\n1\n2\n"));
    CHECK(r.body.ends_with("\n999\n"));
}

EDDY_TEST("a write that was cut off ends the connection, also if nobody cares; nothing is sent after it") {
    for (int round = 0; round < 2; ++round) {
        const bool announced = round == 1;
        std::string later;
        http::server hs{[&](http::request) -> task<http::response> {
            http::response r = http::response::stream(200, "text/plain", [&](http::body_writer& out) -> task<> {
                const std::string block(20'000'000, 'x');
                auto write = [&](cancel_scope&) -> task<> { co_await out.write(std::string_view(block)); };
                co_await move_on_after(1s, write);
                try {
                    co_await out.write("more");
                } catch (const broken_resource&) {
                    later = "refused";
                }
            });
            if (announced) r.content_length(20'000'000);
            co_return r;
        }};
        reported r;
        co_await hs.listen({"127.0.0.1", 0});
        raw_connection c = co_await raw_connection::open(hs.port());
        co_await c.send(one_get);
        while (later.empty()) co_await sleep_for(1s);
        const std::string got = co_await c.read_to_end();
        CHECK(got.ends_with("<reset>"));
        CHECK(later == "refused");
        CHECK(r.messages.empty());
    }
}

EDDY_TEST("a second writer of one body is refused") {
    bool busy = false;
    http::server hs{streaming([&](http::body_writer& out) -> task<> {
        const std::string block(20'000'000, 'x');
        auto first = spawn([&]() -> task<> { co_await out.write(std::string_view(block)); });
        while (out.written() == 0) co_await this_task::yield(); // then it has to wait for the client
        try {
            co_await out.write("y");
        } catch (const busy_resource&) {
            busy = true;
        }
        co_await std::move(first);
    })};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response res = co_await hc.get(hs.url());
    CHECK(res.body.size() == 20'000'000);
    CHECK(busy);
}
