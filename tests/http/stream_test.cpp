// Bodies that are read piece by piece, and what becomes of those that are not read to their end.
#include "http/peer.hpp"

#include <optional>
#include <utility>

#include "lib/words.hpp"

using namespace http_tests;
using http::error_kind;

static_assert(async_read_stream<http::response_body>);

namespace {

const std::string ten_announced = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-A: 1\r\n\r\n";

/// A response to a request that the peer has taken.
task<http::streamed_response> streamed_from(peer& p, http::client& hc, std::string head, http::request_options options = {}) {
    auto running = spawn(hc.stream(p.url(), options));
    co_await p.take_request();
    co_await p.send(std::move(head));
    co_return co_await std::move(running);
}

} // namespace

EDDY_TEST("a streamed response is there with its head, and its body comes as it is sent") {
    peer p;
    http::client hc;
    http::streamed_response res = co_await streamed_from(p, hc, ten_announced);
    CHECK(res.status == 200);
    CHECK(res.ok());
    CHECK(res.header("x-a") == "1");
    CHECK(res.url == p.url());
    CHECK(hc.active() == 1);
    co_await p.send("01234");
    const std::string first = co_await read_piece(res.body);
    auto second = spawn(read_piece(res.body));
    co_await testing::settle();
    CHECK_FALSE(second.done());
    co_await p.send("56789");
    const std::string rest = co_await second;
    const std::string end = co_await read_piece(res.body);
    const std::string still = co_await read_piece(res.body);
    CHECK(first + "|" + rest + "|" + end + "|" + still == "01234|56789||");
    CHECK(hc.active() == 0);
    CHECK(hc.connections() == 1);
}

EDDY_TEST("lines of a streamed body are read with a buffered_reader") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, "one\ntwo\nthree\n"}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    http::streamed_response res = co_await hc.stream(hs.url());
    buffered_reader lines{res.body};
    std::string log;
    for (std::string s = co_await lines.read_line(); !s.empty(); s = co_await lines.read_line()) log += s.substr(0, s.size() - 1) + " ";
    CHECK(log == "one two three ");
}

EDDY_TEST("a stream gives the last of several answers: after redirects, and after 100 Continue") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/from") co_return http::response(302, "moved").set("Location", "/to");
        co_return http::response{200, q.target};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    http::streamed_response res = co_await hc.stream(hs.url("/from"));
    const std::string body = co_await res.body.read_all();
    CHECK(body == "/to");
    CHECK(res.redirects == 1);
    CHECK(res.url == hs.url("/to"));
    http::streamed_response first = co_await hc.stream(hs.url("/from"), {.max_redirects = 0});
    CHECK(first.status == 302);
    peer p;
    http::streamed_response other = co_await streamed_from(p, hc, "HTTP/1.1 100 Continue\r\nX-A: no\r\n\r\n" + ten_announced);
    CHECK(other.status == 200);
    CHECK(other.header("X-A") == "1");
}

EDDY_TEST("answers without a body end at once") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{q.method == "HEAD" ? 200 : 204}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    for (const char* const method : {"HEAD", "GET"}) {
        http::streamed_response res = co_await hc.request_stream(method, hs.url());
        const std::string body = co_await read_piece(res.body);
        CHECK(body.empty());
    }
    http::response_body none;
    const std::string nothing = co_await read_piece(none);
    CHECK(nothing.empty());
}

EDDY_TEST("a reader that does not read stops the sender, and gets everything when it does") {
    peer p;
    http::client hc;
    http::streamed_response res =
        co_await streamed_from(p, hc, "HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n", {.stream_buffer = 64 << 10});
    std::string much(30'000'000, 'x');
    for (std::size_t i = 0; i < much.size(); i += 1000) much[i] = static_cast<char>('a' + i / 1000 % 26);
    auto sending = spawn(p.send(much));
    co_await sleep_for(1h); // more than the time limit: nobody waits
    CHECK_FALSE(sending.done());
    const std::string all = co_await res.body.read_all(0);
    CHECK((all == much));
    co_await sending;
}

EDDY_TEST("a cancelled read has taken nothing, and the next one goes on") {
    peer p;
    http::client hc;
    http::streamed_response res = co_await streamed_from(p, hc, ten_announced);
    std::string all;
    for (const char* const part : {"012", "345", "678", "9"}) {
        auto reading = spawn(read_piece(res.body));
        co_await testing::settle();
        co_await reading.cancel_and_join();
        CHECK(reading.cancelled());
        co_await p.send(part);
        all += co_await read_piece(res.body);
    }
    const std::string end = co_await read_piece(res.body);
    CHECK(all + end == "0123456789");
    auto ended = spawn(read_piece(res.body));
    co_await ended.cancel_and_join();
    CHECK(ended.cancelled()); // a checkpoint, also where there is nothing to wait for
}

EDDY_TEST("a stream that is cancelled before its head closes its connection") {
    peer p;
    http::client hc;
    auto running = spawn(hc.stream(p.url()));
    co_await p.take_request();
    co_await running.cancel_and_join();
    CHECK(running.cancelled());
    CHECK(hc.active() == 0);
    CHECK(hc.connections() == 0);
}

EDDY_TEST("a body that is dropped before its end closes its connection") {
    peer p;
    http::client hc;
    std::optional<http::streamed_response> res(co_await streamed_from(p, hc, ten_announced + "01"));
    auto reading = spawn(words::ending(read_piece(res->body)));
    co_await reading;
    auto waiting = spawn(words::ending(read_piece(res->body)));
    co_await testing::settle();
    res.reset();
    const std::string how = co_await waiting;
    CHECK(how == "the body of GET " + p.url() + " was destroyed");
    CHECK(hc.active() == 0);
    CHECK(hc.connections() == 0);
    const std::string at_peer = co_await p.connection().read_to_end();
    CHECK((at_peer.empty() || at_peer == "<reset>"));
}

EDDY_TEST("a body that breaks off gives what has come, then the error, again and again") {
    peer p;
    http::client hc;
    http::streamed_response res = co_await streamed_from(p, hc, ten_announced + "01234");
    co_await p.hang_up();
    co_await testing::settle();
    const std::string some = co_await read_piece(res.body);
    CHECK(some == "01234");
    for (int i = 0; i < 2; ++i) {
        const std::optional<error_kind> kind = co_await kind_of_failure(read_piece(res.body));
        CHECK(kind == error_kind::truncated);
    }
    http::streamed_response at_once = co_await streamed_from(p, hc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    co_await p.hang_up();
    const std::optional<error_kind> kind = co_await kind_of_failure(read_piece(at_once.body));
    CHECK(kind == error_kind::truncated);
}

EDDY_TEST("the time limit is for the head, and for each read that waits") {
    peer p;
    http::client hc{{.timeout = 10s}};
    const auto start = loop_clock::now();
    auto silent = spawn(kind_of_failure(hc.stream(p.url())));
    co_await p.take_request();
    const std::optional<error_kind> kind = co_await silent;
    CHECK(kind == error_kind::timeout);
    http::streamed_response res = co_await streamed_from(p, hc, ten_announced + "01");
    co_await sleep_for(1min); // a slow reader
    std::string all = co_await read_piece(res.body);
    auto reading = spawn(read_piece(res.body));
    co_await sleep_for(8s);
    co_await p.send("23");
    all += co_await reading;
    CHECK(all == "0123");
    auto late = spawn(words::ending(read_piece(res.body)));
    const std::string how = co_await late;
    CHECK(how == "GET " + p.url() + " failed: timed out: the time limit for more of the body is over (10000 ms)");
    CHECK(hc.active() == 0);
    const bool in_time = loop_clock::now() - start < 10min;
    CHECK(in_time);
}

EDDY_TEST("a stream has no limit but the one it is given") {
    http::server hs{[](http::request) -> task<http::response> { co_return http::response{200, std::string(5000, 'x')}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.max_body = 1000}};
    http::streamed_response res = co_await hc.stream(hs.url());
    const std::string all = co_await res.body.read_all();
    CHECK(all.size() == 5000);
    http::streamed_response limited = co_await hc.stream(hs.url(), {.max_body = 4999});
    const std::optional<error_kind> kind = co_await kind_of_failure(limited.body.read_all());
    CHECK(kind == error_kind::too_large);
    http::streamed_response again = co_await hc.stream(hs.url());
    auto reading = spawn(words::ending(again.body.read_all(100)));
    const std::string how = co_await reading;
    CHECK(how != "ok");
}

EDDY_TEST("one read of a body at a time; a closed client ends it") {
    peer p;
    std::optional<http::client> hc(std::in_place);
    http::streamed_response res = co_await streamed_from(p, *hc, ten_announced);
    auto waiting = spawn(words::ending(read_piece(res.body)));
    co_await testing::settle();
    const std::string second = co_await words::ending(read_piece(res.body));
    CHECK(second == "another task is already reading from this response body");
    hc.reset();
    const std::string first = co_await waiting;
    CHECK(first == "the http client was closed");
}

TEST_CASE("a body that is dropped between two loops does another one no harm") {
    http::client hc;
    std::optional<http::streamed_response> dropped;
    http::streamed_response res;
    auto first = [&]() -> task<> {
        peer one;
        peer two;
        dropped.emplace(co_await streamed_from(one, hc, ten_announced + "01234", {.stream_buffer = 1}));
        res = co_await streamed_from(two, hc, ten_announced + "01234", {.stream_buffer = 1});
        co_await two.send("56789"); // there is no room for it
        co_await two.hang_up();
    };
    run(first(), {.handle_signals = false});
    dropped.reset();
    auto second = [&]() -> task<std::string> { co_return co_await res.body.read_all(); };
    const std::string all = run(second(), {.handle_signals = false});
    CHECK(all == "0123456789");
    CHECK(hc.active() == 0);
}

TEST_CASE("a body that nobody reads holds no loop up, and can be read on the next one") {
    http::client hc;
    http::streamed_response res;
    std::optional<peer> p;
    auto first = [&]() -> task<> {
        p.emplace();
        res = co_await streamed_from(*p, hc, ten_announced + "01234");
        co_await p->send("56789");
        co_await p->hang_up();
        p.reset();
    };
    run(first(), {.handle_signals = false});
    auto second = [&]() -> task<std::string> { co_return co_await res.body.read_all(); };
    const std::string all = run(second(), {.handle_signals = false});
    CHECK(all == "0123456789");
}
