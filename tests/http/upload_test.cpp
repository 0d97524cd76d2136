// Bodies that are produced while they are sent.
#include "http/peer.hpp"

#include "lib/words.hpp"

using namespace http_tests;
using http::error_kind;

namespace {

/// Numbers as text, with a pause before each.
async_generator<std::string> counted(int n, std::chrono::nanoseconds pause) {
    for (int i = 0; i < n; ++i) {
        if (pause.count() > 0) co_await sleep_for(pause);
        std::string text = std::to_string(i);
        co_yield text;
    }
}

async_generator<std::string> in_blocks(std::size_t blocks, std::size_t size) {
    for (std::size_t i = 0; i < blocks; ++i) {
        std::string block(size, static_cast<char>('a' + i % 26));
        co_yield block;
        std::string empty;
        co_yield empty;
    }
}

async_generator<std::string> breaking_off() {
    std::string text = "some";
    co_yield text;
    co_await sleep_for(1s);
    throw std::runtime_error("the source is dry");
}

async_generator<std::string> failing_when_cancelled(bool& asleep) {
    try {
        std::string text = "some";
        co_yield text;
        asleep = true;
        co_await sleep_for(24h);
    } catch (const operation_cancelled&) {
        throw std::runtime_error("the source did not like that");
    }
}

task<http::response> upload_echo(http::request q) {
    co_return http::response{200, q.method + "|" + q.header("Content-Length") + "|" + q.header("Transfer-Encoding") + "|" + q.body};
}

} // namespace

EDDY_TEST("an upload sends what its source yields, in chunks or with a length") {
    http::server hs{upload_echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response chunked = co_await hc.upload("POST", hs.url(), counted(10, 1s));
    CHECK(chunked.body == "POST||chunked|0123456789");
    const http::response announced = co_await hc.upload("PUT", hs.url(), counted(10, 1s), {.content_length = 10});
    CHECK(announced.body == "PUT|10||0123456789");
    const http::response at_once = co_await hc.upload("PATCH", hs.url(), counted(3, 0s));
    CHECK(at_once.body == "PATCH||chunked|012");
    const http::response nothing = co_await hc.upload("PUT", hs.url(), counted(0, 0s));
    CHECK(nothing.body == "PUT||chunked|");
    const http::response empty = co_await hc.upload("PUT", hs.url(), counted(0, 0s), {.content_length = 0});
    CHECK(empty.body == "PUT|0||");
    CHECK(hc.connections() == 1);
}

EDDY_TEST("large uploads come through whole") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{200, std::move(q.body)}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    std::string all;
    for (std::size_t i = 0; i < 50; ++i) all.append(100'001, static_cast<char>('a' + i % 26));
    const http::response res = co_await hc.upload("PUT", hs.url(), in_blocks(50, 100'001));
    CHECK((res.body == all));
}

EDDY_TEST("a source is asked for more only when what it gave was sent") {
    peer p;
    http::client hc;
    std::size_t given = 0;
    auto blocks = [&]() -> async_generator<std::string> {
        for (int i = 0; i < 300; ++i) {
            std::string block(100'000, 'x');
            given += block.size();
            co_yield block;
        }
    };
    auto running = spawn(words::ending(hc.upload("PUT", p.url(), blocks(), {.timeout = 10s})));
    co_await p.take_request();
    const std::string how = co_await running;
    CHECK(how == "PUT " + p.url() + " failed: timed out: the time limit of the request is over (10000 ms)");
    CHECK(given < 20'000'000);
}

EDDY_TEST("an exception in the source ends the request and is thrown") {
    peer p;
    http::client hc;
    auto running = spawn(words::ending(hc.upload("PUT", p.url(), breaking_off())));
    co_await p.take_request();
    const std::string how = co_await running;
    CHECK(how == "the source is dry");
    CHECK(hc.active() == 0);
    CHECK(hc.connections() == 0);
}

EDDY_TEST("a source has to give as many bytes as were announced") {
    http::server hs{upload_echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::string less = co_await words::ending(hc.upload("PUT", hs.url(), counted(3, 0s), {.content_length = 4}));
    CHECK(less == "upload to " + hs.url() + ": the source gave less than the 4 bytes that were announced");
    const std::string more = co_await words::ending(hc.upload("PUT", hs.url(), counted(5, 0s), {.content_length = 4}));
    CHECK(more == "upload to " + hs.url() + ": the source gave more than the 4 bytes that were announced");
    const http::response fine = co_await hc.get(hs.url());
    CHECK(fine.body == "GET|||");
}

EDDY_TEST("there is no upload with HEAD: its answer would be waited for in vain") {
    http::client hc;
    CHECK_THROWS_AS(hc.upload("HEAD", "http://127.0.0.1:1/", counted(1, 0s)), std::invalid_argument);
    CHECK(hc.active() == 0);
    co_return;
}

EDDY_TEST("an answer before the end of an upload ends its source") {
    peer p;
    http::client hc;
    auto running = spawn(hc.upload("PUT", p.url(), counted(1000, 24h), {.timeout = 0s}));
    co_await p.take_request();
    co_await p.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    const http::response res = co_await running;
    CHECK(res.status == 413);
    CHECK(res.body == "no");
    CHECK(hc.active() == 0);
}

EDDY_TEST("an upload whose answer ends with the connection is over, though its source sleeps and nothing was wrong") {
    peer p;
    http::client hc;
    for (const bool announced : {true, false}) {
        bool asleep = false;
        bool woken = false;
        auto sleeping = [&]() -> async_generator<std::string> {
            std::string text = "some";
            co_yield text;
            asleep = true;
            co_await sleep_for(24h);
            woken = true;
        };
        auto running = spawn(hc.upload("PUT", p.url(), sleeping(), {.timeout = 0s}));
        const std::string head = co_await p.take_request();
        if (head.find("some") == std::string::npos) co_await p.receive("some"); // what is not read would reset the connection
        while (!asleep) co_await sleep_for(1ms);
        co_await p.send("HTTP/1.1 200 OK\r\nConnection: close\r\n" + std::string(announced ? "Content-Length: 6\r\n\r\n" : "\r\n"));
        co_await testing::settle();
        co_await p.send("en");
        co_await testing::settle();
        co_await p.send("ough");
        if (!announced) co_await p.hang_up();
        const http::response res = co_await running;
        CHECK(res.body == "enough");
        CHECK_FALSE(woken);
    }
}

EDDY_TEST("an error of a source that comes too late for its request is reported") {
    peer p;
    http::client hc;
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& c) {
        reports += std::string(c.message) + ": " + eddy::detail::describe(c.exception) + "\n";
    });
    bool asleep = false;
    auto answered = spawn(hc.upload("PUT", p.url(), failing_when_cancelled(asleep), {.timeout = 0s}));
    co_await p.take_request();
    while (!asleep) co_await sleep_for(1ms);
    co_await p.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    const http::response res = co_await answered;
    CHECK(res.status == 413);
    const std::string line = "the source of the upload to " + p.url() + " failed: the source did not like that\n";
    CHECK(reports == line);
    asleep = false;
    auto cancelled = spawn(hc.upload("PUT", p.url(), failing_when_cancelled(asleep), {.timeout = 0s}));
    co_await p.take_request();
    while (!asleep) co_await sleep_for(1ms);
    co_await cancelled.cancel_and_join();
    CHECK(cancelled.cancelled());
    CHECK(reports == line + line);
    CHECK(hc.active() == 0);
    this_loop().set_exception_handler({});
}

EDDY_TEST("a redirect that wants the body once more is an error, one to GET is followed") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/") co_return http::response{200, q.method};
        co_return http::response(q.target == "/307" ? 307 : 303).set("Location", "/");
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const std::optional<error_kind> again = co_await kind_of_failure(hc.upload("PUT", hs.url("/307"), counted(3, 0s)));
    CHECK(again == error_kind::other);
    const http::response seen = co_await hc.upload("POST", hs.url("/303"), counted(3, 0s));
    CHECK(seen.body == "GET");
}

EDDY_TEST("an upload cancelled at any moment leaves nothing behind") {
    http::server hs{upload_echo};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    for (int ticks = 0; ticks < 40; ++ticks) {
        auto h = spawn(hc.upload("PUT", hs.url(), counted(3, 0s)));
        for (int i = 0; i < ticks && !h.done(); ++i) co_await this_task::yield();
        co_await h.cancel_and_join();
    }
    auto slow = spawn(hc.upload("PUT", hs.url(), counted(3, 1h)));
    co_await testing::settle();
    co_await slow.cancel_and_join();
    CHECK(slow.cancelled());
    CHECK(hc.active() == 0);
}

EDDY_TEST("an upload on a kept connection that the server closes is sent anew while its first piece is there") {
    peer server;
    http::client hc;
    auto first = spawn(hc.get(server.url("/first")));
    co_await server.take_request();
    co_await server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    co_await first;
    auto uploading = spawn(hc.upload("PUT", server.url("/kept"), counted(1, 0s)));
    co_await server.receive("PUT /kept");
    co_await testing::settle();
    co_await server.hang_up();
    const std::string again = co_await server.take_request();
    CHECK(again.find("PUT /kept") != std::string::npos);
    co_await testing::settle();
    co_await server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
    const http::response res = co_await uploading;
    CHECK(res.body == "done");
}

EDDY_TEST("an upload that cannot be sent anew on another connection was disconnected") {
    peer server;
    http::client hc;
    auto first = spawn(hc.get(server.url("/first")));
    co_await server.take_request();
    co_await server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    co_await first;
    auto uploading = spawn(kind_of_failure(hc.upload("PUT", server.url("/kept"), counted(100, 1s))));
    co_await server.receive("PUT /kept");
    co_await sleep_for(5s); // some pieces are gone
    co_await server.hang_up();
    const std::optional<error_kind> failure = co_await uploading;
    CHECK(failure == error_kind::disconnected);
}
