// Forms, as text and as a server gets them.
#include "http/support.hpp"

#include <array>

#include "lib/words.hpp"

using namespace http_tests;

namespace {

/// The body with its boundary written B.
std::string shown(const http::multipart& m) {
    std::string text = m.body();
    const std::string boundary(m.boundary());
    for (std::size_t at = text.find(boundary); at != std::string::npos; at = text.find(boundary)) text.replace(at, boundary.size(), "B");
    return text;
}

} // namespace

TEST_CASE("a form is encoded as browsers do it") {
    CHECK(http::form_encode("azAZ09*-._") == "azAZ09*-._");
    CHECK(http::form_encode("a b+c&d=e%~") == "a+b%2Bc%26d%3De%25%7E");
    CHECK(http::form_encode("\xc3\xa4\r\n") == "%C3%A4%0D%0A");
    CHECK(http::form_encode(std::string_view("\0", 1)) == "%00");
    CHECK(http::form_encode("").empty());
    http::form f;
    CHECK(f.body().empty());
    f.field("a", "1").field("a", "x y").field("", "").field("\xe2\x82\xac", "=");
    CHECK(f.body() == "a=1&a=x+y&=&%E2%82%AC=%3D");
    CHECK(f.content_type() == "application/x-www-form-urlencoded");
}

TEST_CASE("what a form encodes a request decodes") {
    http::request q;
    std::string all;
    for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
    http::form f;
    f.field("other", "1").field("all", all);
    q.target = "/?" + f.body();
    CHECK((q.parameter("all") == all));
}

TEST_CASE("a multipart body has a part for each field and each file") {
    http::multipart m;
    CHECK(shown(m) == "--B--\r\n");
    m.field("a", "b").file("f", "n.txt", "text/plain", "bytes\n").file("g", "", "", "");
    CHECK(shown(m) ==
          "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n"
          "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.txt\"\r\nContent-Type: text/plain\r\n\r\nbytes\n\r\n"
          "--B\r\nContent-Disposition: form-data; name=\"g\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n"
          "--B--\r\n");
    CHECK(m.content_type() == "multipart/form-data; boundary=" + std::string(m.boundary()));
    CHECK(m.boundary().size() <= 70);
}

TEST_CASE("no name, file name or content type ends a header of a multipart body") {
    http::multipart m;
    m.field("a\"\r\nX: 1", "v\n\r\r\n\"").file("f\n", "n\"\r\n.txt", "", "\r\n\"");
    CHECK(shown(m) ==
          "--B\r\nContent-Disposition: form-data; name=\"a%22%0D%0AX: 1\"\r\n\r\nv\r\n\r\n\r\n\"\r\n"
          "--B\r\nContent-Disposition: form-data; name=\"f%0D%0A\"; filename=\"n%22%0D%0A.txt\"\r\n"
          "Content-Type: application/octet-stream\r\n\r\n\r\n\"\r\n"
          "--B--\r\n");
    CHECK_THROWS_AS(m.file("f", "n", "text/plain\r\nX: 1", "bytes"), std::invalid_argument);
}

TEST_CASE("a boundary that occurs in a part is replaced") {
    http::multipart m;
    const std::string first(m.boundary());
    m.field("a", "1");
    CHECK(m.boundary() == first);
    m.file("f", "n", "", "x" + first + "x");
    CHECK(m.boundary() != first);
    CHECK(raw_connection::count(m.body(), m.boundary()) == 3);
    const std::string second(m.boundary());
    m.field(second, "1");
    CHECK(m.boundary() != second);
    CHECK(raw_connection::count(m.body(), m.boundary()) == 4);
    CHECK(http::multipart().boundary() != http::multipart().boundary());
}

TEST_CASE("a multipart body with a part that is read while it is sent is none to put together") {
    const auto one = []() -> async_generator<std::string> {
        std::string text = "x";
        co_yield text;
    };
    http::multipart from_disk;
    from_disk.file("f", "/tmp/a.png");
    CHECK_THROWS_AS(from_disk.body(), std::logic_error);
    http::multipart yielded;
    yielded.stream("f", "n", "", one());
    CHECK_THROWS_AS(yielded.body(), std::logic_error);
    http::multipart refused;
    CHECK_THROWS_AS(refused.file("f", ""), std::invalid_argument);
    CHECK_THROWS_AS(refused.stream("f", "n", "", async_generator<std::string>()), std::invalid_argument);
    CHECK_THROWS_AS(refused.file("f", "/tmp/a", {.content_type = "a\nb"}), std::invalid_argument);
    CHECK_THROWS_AS(refused.stream("f", "n", "a\nb", one()), std::invalid_argument);
    CHECK(shown(refused) == "--B--\r\n");
}

EDDY_TEST("forms arrive with their content type") {
    http::server hs{[](http::request q) -> task<http::response> { co_return http::response{200, q.header("Content-Type") + "|" + q.body}; }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    http::form f;
    f.field("q", "a & b");
    const http::response plain = co_await hc.post(hs.url(), f.body(), {.content_type = f.content_type()});
    CHECK(plain.body == "application/x-www-form-urlencoded|q=a+%26+b");
    http::multipart m;
    const std::array<std::byte, 3> bytes{std::byte{0}, std::byte{255}, std::byte{10}};
    m.file("f", "n", "", bytes);
    const http::response parts = co_await hc.post(hs.url(), m.body(), {.content_type = m.content_type()});
    CHECK((parts.body == std::string(m.content_type()) + "|" + m.body()));
}
