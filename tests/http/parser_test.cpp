// The server's parser on strings: every way to cut the input gives the same requests, and what is not clearly one request
// is refused.
#include "http/support.hpp"

#include "../../io/http/src/request_parser.hpp"
#include "../../io/http/src/response_writer.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

using namespace http_tests;
using http::detail::request_parser;

namespace {

constexpr std::size_t max_header = 1000;
constexpr std::size_t max_body = 100;

// What the parser makes of the pieces: "METHOD target [body]; …", then the refusal's status or "…" if it wants more.
std::string parse(const std::vector<std::string_view>& pieces) {
    request_parser parser(max_header);
    std::string seen;
    for (const std::string_view piece : pieces) {
        if (parser.current() == request_parser::state::refused) break;
        parser.feed(piece);
        parser.begin_body(max_body);
        while (parser.current() == request_parser::state::ready) {
            const http::request q = parser.take_head();
            seen += q.method + " " + q.target + " [" + parser.take_body() + "]" + (parser.keep_alive() ? "; " : " last; ");
            parser.next();
            parser.begin_body(max_body);
        }
    }
    if (parser.current() == request_parser::state::refused) return seen + std::to_string(parser.why().status);
    return seen + (parser.begun() ? "..." : "");
}

// In one piece, cut in two at every place, and byte by byte: always the same.
std::string parse_every_way(std::string_view text) {
    const std::vector<std::string_view> one{text};
    const std::string expected = parse(one);
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
        const std::vector<std::string_view> two{text.substr(0, cut), text.substr(cut)};
        if (const std::string got = parse(two); got != expected) return "cut at " + std::to_string(cut) + ": " + got + " not " + expected;
    }
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
    if (const std::string got = parse(bytes); got != expected) return "byte by byte: " + got + " not " + expected;
    return expected;
}

std::string with(std::string_view lines, std::string_view body = {}) {
    return "POST /p HTTP/1.1\r\nHost: h\r\n" + std::string(lines) + "\r\n" + std::string(body);
}

} // namespace

TEST_CASE("requests come out one after the other, however they arrive") {
    CHECK(parse_every_way("GET / HTTP/1.1\r\nHost: h\r\n\r\n") == "GET / []; ");
    CHECK(parse_every_way("GET / HTTP/1.0\r\n\r\n") == "GET / [] last; ");
    CHECK(parse_every_way("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == "GET / []; ");
    CHECK(parse_every_way("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n") == "GET / [] last; ");
    CHECK(parse_every_way(with("Content-Length: 5\r\n", "helloGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")) == "POST /p [hello]; GET /2 []; ");
    CHECK(parse_every_way(with("Content-Length: 0\r\n", "\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")) == "POST /p []; GET /2 []; ");
    CHECK(parse_every_way("GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n") == "GET http://h/x []; ");
    CHECK(parse_every_way("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n") == "OPTIONS * []; ");
    CHECK(parse_every_way("M-SEARCH /x HTTP/1.1\r\nHost: h\r\n\r\n") == "M-SEARCH /x []; ");
}

TEST_CASE("chunked bodies are put together") {
    const std::string head = with("Transfer-Encoding: Chunked\r\n");
    CHECK(parse_every_way(head + "5\r\nhello\r\n0\r\n\r\n") == "POST /p [hello]; ");
    CHECK(parse_every_way(head + "2\r\nab\r\n0A;ext=\"v\\\"\"\r\ncdefghijkl\r\n0\r\nTrailer: x\r\n\r\n") == "POST /p [abcdefghijkl]; ");
    CHECK(parse_every_way(head + "1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == "POST /p [a]; GET / []; ");
    CHECK(parse_every_way(head + "5\r\nhel") == "...");
}

TEST_CASE("a trailer does not become a header") {
    request_parser parser(max_header);
    parser.feed(with("Transfer-Encoding: chunked\r\n", "0\r\nX-Admin: 1\r\n\r\n"));
    parser.begin_body(max_body);
    REQUIRE(parser.current() == request_parser::state::ready);
    CHECK_FALSE(parser.take_head().headers.contains("X-Admin"));
}

TEST_CASE("what two servers could read differently is refused") {
    const auto chunked = [](std::string_view lines) { return with(lines, "0\r\n\r\n"); };
    // two ways to say where the body ends
    CHECK(parse_every_way(chunked("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")) == "400");
    CHECK(parse_every_way(chunked("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")) == "400");
    CHECK(parse_every_way(with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")) == "400");
    CHECK(parse_every_way(with("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")) == "400");
    CHECK(parse_every_way(with("Content-Length: 5, 5\r\n", "hello")) == "400");
    CHECK(parse_every_way(with("Content-Length: +5\r\n", "hello")) == "400");
    CHECK(parse_every_way(with("Content-Length: 0x5\r\n", "hello")) == "400");
    CHECK(parse_every_way(with("Content-Length: 5 5\r\n", "hello")) == "400");
    CHECK(parse_every_way(with("Content-Length: -1\r\n")) == "400");
    CHECK(parse_every_way(with("Content-Length:\r\n")) == "400");
    CHECK(parse_every_way(with("Content-Length: 99999999999999999999\r\n")) == "400");
    CHECK(parse_every_way(chunked("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")) == "400");
    CHECK(parse_every_way(chunked("Transfer-Encoding: chunked, identity\r\n")) == "501");
    CHECK(parse_every_way(chunked("Transfer-Encoding: xchunked\r\n")) == "501");
    CHECK(parse_every_way(chunked("Transfer-Encoding: gzip, chunked\r\n")) == "501");
    CHECK(parse_every_way("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == "400");
    // header lines that some take for something else
    CHECK(parse_every_way(chunked("Transfer-Encoding : chunked\r\n")) == "400");
    CHECK(parse_every_way(chunked("Transfer-Encoding\t: chunked\r\n")) == "400");
    CHECK(parse_every_way(chunked(" Transfer-Encoding: chunked\r\n")) == "400");
    CHECK(parse_every_way(with("X: a\r\n folded: b\r\n")) == "400");
    CHECK(parse_every_way(with("X: a\r\n\tb\r\n")) == "400");
    CHECK(parse_every_way(with("no colon\r\n")) == "400");
    CHECK(parse_every_way(with(": empty name\r\n")) == "400");
    CHECK(parse_every_way(with("X\x80: a\r\n")) == "400");
    // line ends
    CHECK(parse_every_way("GET / HTTP/1.1\nHost: h\n\n") == "400");
    CHECK(parse_every_way("GET / HTTP/1.1\r\nHost: h\n\r\n") == "400");
    CHECK(parse_every_way(with("X: a\rTransfer-Encoding: chunked\r\n")) == "400");
    CHECK(parse_every_way(with(std::string_view("X: a\0b\r\n", 8))) == "400");
    CHECK(parse_every_way(with("X: a\x7f\r\n")) == "400");
    // hosts
    CHECK(parse_every_way("GET / HTTP/1.1\r\n\r\n") == "400");
    CHECK(parse_every_way("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == "400");
}

TEST_CASE("request lines are exactly method, target, version") {
    CHECK(parse_every_way("GET  / HTTP/1.1\r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way("GET /\r\n\r\n") == "400");
    CHECK(parse_every_way("GET / http/1.1\r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way("GET / HTTP/1.1 \r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way("G\"T / HTTP/1.1\r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way(" GET / HTTP/1.1\r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == "505");
    CHECK(parse_every_way("GET / HTTP/1.2\r\nHost: h\r\n\r\n") == "505");
    CHECK(parse_every_way("GET / HTTP/0.9\r\n\r\n") == "505");
    CHECK(parse_every_way("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n") == "501");
    CHECK(parse_every_way("\x16\x03\x01\x02\x01\x01") == "400"); // a TLS hello
}

TEST_CASE("a quote in a chunk's extension closes in its line") {
    const std::string head = with("Transfer-Encoding: chunked\r\n");
    CHECK(parse_every_way(head + "2;x=\"y z\"\r\nab\r\n0;x=\"y\"\r\n\r\n") == "POST /p [ab]; ");
    CHECK(parse_every_way(head + "2;x=\"y\r\nab\r\n0\r\n\r\n") == "400"); // never
    CHECK(parse_every_way(head + "2\r\nab\r\n2;x=\"y\r\nab\r\n0\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "2;x=\"y\r\nab\"\r\n0\r\n\r\n") == "400"); // in another line
    CHECK(parse_every_way(head + "2\r\nab\r\n0;x=\"y\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "2\r\nab\r\n00;x=\"y\\\r\nT: 1\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "2\r\nab\r\n0;x=\"y\r\nT: 1\r\n") == "...");
}

TEST_CASE("chunks are exactly size, data, line end") {
    const std::string head = with("Transfer-Encoding: chunked\r\n");
    CHECK(parse_every_way(head + "g\r\nhello\r\n0\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "-5\r\nhello\r\n0\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "0x5\r\nhello\r\n0\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "5 \r\nhello\r\n0\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "5\r\nhelloX\r\n0\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "fffffffffffffffff\r\nhello") == "400");
    CHECK(parse_every_way(head + "0\r\nContent-Length: 3\r\n\r\n") == "400");
    CHECK(parse_every_way(head + "0\r\nbad trailer\r\n\r\n") == "400");
    // a bare line feed after the size: no chunk is accepted
    CHECK(parse({head + "5\nhello\r\n0\r\n\r\n"}) == "400");
}

TEST_CASE("mutated requests are understood the same way however they arrive") {
    const std::array<std::string, 4> seeds{
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", with("Content-Length: 5\r\n", "helloGET /2 HTTP/1.0\r\n\r\n"),
        with("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n00;x=\"y\"\r\nT: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
        with("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc\r\n")};
    constexpr std::string_view alphabet("\r\n :,;0159aZ\t\"\x80\0", 16);
    std::uint32_t state = 12345;
    const auto random = [&state](std::size_t below) {
        state = state * 1664525U + 1013904223U;
        return static_cast<std::size_t>(state >> 8) % below;
    };
    std::string wrong;
    for (int round = 0; round < 20'000 && wrong.empty(); ++round) {
        std::string text = seeds.at(random(seeds.size()));
        for (std::size_t i = random(4); i < 4; ++i) {
            const std::size_t at = random(text.size());
            const std::size_t kind = random(3);
            if (kind != 0) text.erase(at, 1 + random(3));
            if (kind != 1) text.insert(std::min(at, text.size()), 1, alphabet[random(alphabet.size())]);
        }
        const std::size_t cut = random(text.size() + 1);
        const std::string_view all = text;
        const std::string whole = parse({all});
        const std::string two = parse({all.substr(0, cut), all.substr(cut)});
        if (whole != two) wrong = text + " cut at " + std::to_string(cut) + ": '" + two + "' not '" + whole + "'";
    }
    CHECK(wrong.empty());
    if (!wrong.empty()) WARN(wrong);
}

TEST_CASE("limits: what is too large has a status of its own") {
    CHECK(parse_every_way(with("Content-Length: 101\r\n")) == "413");
    CHECK(parse_every_way(with("Content-Length: 100\r\n")) == "...");
    const std::string head = with("Transfer-Encoding: chunked\r\n");
    CHECK(parse_every_way(head + "65\r\n") == "413");
    CHECK(parse_every_way(head + "40\r\n" + std::string(64, 'x') + "\r\n40\r\n") == "413");
    CHECK(parse({head + "5;" + std::string(5000, 'x')}) == "400");
    CHECK(parse({head + "0\r\nT: " + std::string(5000, 'x')}) == "400");
    CHECK(parse({"GET /" + std::string(1000, 'x')}) == "414");
    CHECK(parse({"GET / HTTP/1.1\r\nX: " + std::string(1000, 'x')}) == "431");
    CHECK(parse({std::string(2000, 'x')}) == "414");
    std::string many;
    for (int i = 0; i < 300; ++i) many += "a:\r\n";
    CHECK(parse({with(many)}) == "431");
}

TEST_CASE("a body is taken as it comes; until it is asked for it stays where it is") {
    request_parser parser(max_header);
    parser.feed(with("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"));
    CHECK(parser.current() == request_parser::state::body);
    CHECK_FALSE(parser.has_body());
    CHECK(parser.take_head().target == "/p");
    parser.begin_body(1000);
    CHECK(parser.take_body() == "abc");
    CHECK_FALSE(parser.has_body());
    parser.feed("2\r\nd");
    CHECK(parser.take_body() == "d");
    parser.feed("e\r\n0\r\n\r\nGET");
    CHECK(parser.current() == request_parser::state::ready);
    CHECK(parser.take_body() == "e");
    CHECK_FALSE(parser.announced_length());
    CHECK(parser.take_unused() == "GET");
    request_parser announced(max_header);
    announced.feed(with("Content-Length: 7\r\n"));
    CHECK(announced.announced_length() == 7U);
}

TEST_CASE("an expectation is seen once, and not if the body is there") {
    request_parser parser(max_header);
    parser.feed(with("Content-Length: 2\r\nExpect: 100-Continue\r\n"));
    CHECK(parser.current() == request_parser::state::body);
    parser.begin_body(max_body);
    CHECK(parser.take_expectation());
    CHECK_FALSE(parser.take_expectation());
    request_parser eager(max_header);
    eager.feed(with("Content-Length: 2\r\nExpect: 100-continue\r\n", "a"));
    eager.begin_body(max_body);
    CHECK_FALSE(eager.take_expectation());
    CHECK(parse_every_way(with("Expect: fish\r\n")) == "417");
    CHECK(parse_every_way(with("Content-Length: 200\r\nExpect: 100-continue\r\n")) == "413");
}

TEST_CASE("a response's head says what is sent") {
    using http::detail::response_context;
    using http::detail::response_head;
    const std::string date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const auto dated = [](http::response r) { return std::move(r).set("Date", http::detail::http_date(784111777)); };
    response_context c;
    CHECK(response_head(dated(http::response{200, "hi"}), c) ==
          "HTTP/1.1 200 OK\r\n" + date + "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\n");
    CHECK(response_head(dated(http::response(204)), c) == "HTTP/1.1 204 No Content\r\n" + date + "\r\n");
    c.keep_alive = false;
    CHECK(response_head(dated(http::response(299)), c) == "HTTP/1.1 299 \r\n" + date + "Content-Length: 0\r\nConnection: close\r\n\r\n");
    c.keep_alive = true;
    c.minor_version = 0;
    c.head_request = true;
    http::response r = dated(http::response(200));
    r.set("Content-Length", "77").set("Connection", "close").set("Transfer-Encoding", "chunked");
    CHECK(response_head(r, c) == "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 77\r\nConnection: keep-alive\r\n\r\n");
}
