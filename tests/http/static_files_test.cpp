// Files of a folder over HTTP: which are sent, which parts of them, and which never.
#include "http/support.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "io/support.hpp"

using namespace http_tests;

namespace {

/// A folder with a site in it, and a secret beside the site.
class site {
public:
    site() {
        std::filesystem::create_directories(folder_.file("www/sub/deep"));
        std::filesystem::create_directories(folder_.file("www/.git"));
        put("secret.txt", "secret");
        put("www/index.html", "<p>home");
        put("www/a.txt", "0123456789");
        put("www/empty", "");
        put("www/sub/index.html", "<p>sub");
        put("www/sub/b c.css", "p{}");
        put("www/.git/config", "secret");
    }
    void put(const std::string& name, const std::string& text) const { std::ofstream(folder_.file(name), std::ios::binary) << text; }
    [[nodiscard]] std::string path(const std::string& name) const { return folder_.file(name); }
    [[nodiscard]] std::string root() const { return folder_.file("www"); }

private:
    io_test::temporary_folder folder_;
};

/// A server for files, and a client that asks it.
class file_service {
public:
    explicit file_service(const http::static_files_options& options = {}) : files_(site_.root(), options), server_(files_) {}
    task<> start() { return server_.listen({"127.0.0.1", 0}); }
    /// As bytes, since a client would tidy the path up. `head`: lines of headers.
    task<std::string> raw(const char* method, std::string target, std::string head = {}) {
        raw_connection c = co_await raw_connection::open(server_.port());
        const std::string text = std::string(method) + " " + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + head + "\r\n";
        co_return co_await c.ask(text);
    }
    [[nodiscard]] const site& where() const noexcept { return site_; }
    [[nodiscard]] const http::server& server() const noexcept { return server_; }

private:
    site site_;
    http::static_files files_;
    http::server server_;
};

/// The value of a header in a response as it was received.
std::string header_of(const std::string& response, const std::string& name) {
    const std::size_t at = response.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "<none>";
    const std::size_t start = at + name.size() + 4;
    return response.substr(start, response.find("\r\n", start) - start);
}
int status_of(const std::string& response) {
    return response.size() < 12 ? 0 : std::stoi(response.substr(9, 3));
}

} // namespace

EDDY_TEST("a file is sent with what is known about it") {
    file_service s{{.max_age = 60s}};
    co_await s.start();
    const std::string got = co_await s.raw("GET", "/a.txt");
    CHECK(status_of(got) == 200);
    CHECK(body_of(got) == "0123456789");
    CHECK(header_of(got, "Content-Type") == "text/plain; charset=utf-8");
    CHECK(header_of(got, "Content-Length") == "10");
    CHECK(header_of(got, "Accept-Ranges") == "bytes");
    CHECK(header_of(got, "Cache-Control") == "max-age=60");
    CHECK(header_of(got, "Last-Modified").ends_with(" GMT"));
    CHECK(header_of(got, "ETag").starts_with("\""));
    const std::string head = co_await s.raw("HEAD", "/a.txt");
    CHECK(status_of(head) == 200);
    CHECK(header_of(head, "Content-Length") == "10");
    CHECK(header_of(head, "ETag") == header_of(got, "ETag"));
    CHECK(body_of(head).empty());
    const std::string decoded = co_await s.raw("GET", "/sub/b%20c.css?v=1");
    CHECK(body_of(decoded) == "p{}");
    const std::string empty = co_await s.raw("GET", "/empty");
    CHECK(status_of(empty) == 200);
    CHECK(header_of(empty, "Content-Length") == "0");
    CHECK(header_of(empty, "Content-Type") == "application/octet-stream");
}

EDDY_TEST("a folder is its index, after a redirect to its slash") {
    file_service s;
    co_await s.start();
    const std::string home = co_await s.raw("GET", "/");
    CHECK(body_of(home) == "<p>home");
    const std::string sub = co_await s.raw("GET", "/sub/");
    CHECK(body_of(sub) == "<p>sub");
    CHECK(header_of(sub, "Content-Type") == "text/html; charset=utf-8");
    const std::string redirect = co_await s.raw("GET", "/sub?x=1");
    CHECK(status_of(redirect) == 301);
    CHECK(header_of(redirect, "Location") == "./sub/?x=1");
    const std::string no_index = co_await s.raw("GET", "/sub/deep/");
    CHECK(status_of(no_index) == 404);
    const std::string no_folder = co_await s.raw("GET", "/a.txt/");
    CHECK(status_of(no_folder) == 404);
    const std::string other_host = co_await s.raw("GET", "//sub");
    CHECK(header_of(other_host, "Location") == "<none>");
}

EDDY_TEST("nothing outside of the folder is sent, nor what is hidden or no file") {
    file_service s;
    co_await s.start();
    std::filesystem::create_symlink("../secret.txt", s.where().path("www/out.txt"));
    std::filesystem::create_symlink(s.where().path("secret.txt"), s.where().path("www/absolute.txt"));
    std::filesystem::create_symlink("..", s.where().path("www/up"));
    const int made = ::mkfifo(s.where().path("www/fifo").c_str(), 0666);
    CHECK(made == 0);
    for (const char* target : {"/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/sub/../../secret.txt", "/sub/..%2f..%2fsecret.txt",
                               "/out.txt", "/absolute.txt", "/up/secret.txt", "/.git/config", "/.git/", "/%2egit/config", "/./a.txt", "/fifo",
                               "/nothing", "/a.txt%00.html", "//etc/passwd", "/%2fetc/passwd", "/a.txt/x"}) {
        INFO(target);
        const std::string got = co_await s.raw("GET", target);
        CHECK(status_of(got) == 404);
        CHECK(got.find("secret") == std::string::npos);
    }
    const std::string long_name = co_await s.raw("GET", "/" + std::string(5000, 'x'));
    CHECK(status_of(long_name) == 404);
    const std::string posted = co_await s.raw("POST", "/a.txt");
    CHECK(status_of(posted) == 405);
    CHECK(header_of(posted, "Allow") == "GET, HEAD");
}

EDDY_TEST("symbolic links inside of the folder are followed, hidden files sent if asked to") {
    file_service s{{.index = "", .hidden = true}};
    co_await s.start();
    std::filesystem::create_symlink("sub", s.where().path("www/link"));
    const std::string linked = co_await s.raw("GET", "/link/b%20c.css");
    CHECK(body_of(linked) == "p{}");
    const std::string hidden = co_await s.raw("GET", "/.git/config");
    CHECK(body_of(hidden) == "secret");
    const std::string up = co_await s.raw("GET", "/.git/../../secret.txt");
    CHECK(status_of(up) == 404);
    const std::string folder = co_await s.raw("GET", "/sub"); // there is no index
    CHECK(status_of(folder) == 404);
    const std::string slash = co_await s.raw("GET", "/sub/");
    CHECK(status_of(slash) == 404);
}

EDDY_TEST("parts of a file") {
    file_service s;
    co_await s.start();
    class part {
    public:
        const char* range;
        const char* body;
        const char* content_range;
    };
    for (const part& p : {part{"bytes=0-3", "0123", "bytes 0-3/10"}, part{"bytes=8-", "89", "bytes 8-9/10"}, part{"bytes=-3", "789", "bytes 7-9/10"},
                          part{"bytes=9-100", "9", "bytes 9-9/10"}, part{"bytes=-100", "0123456789", "bytes 0-9/10"},
                          part{"BYTES= 5-5 ", "5", "bytes 5-5/10"}, part{"bytes=0-18446744073709551615", "0123456789", "bytes 0-9/10"},
                          part{"bytes=8-99999999999999999999", "89", "bytes 8-9/10"}, part{"bytes=-99999999999999999999", "0123456789", "bytes 0-9/10"}}) {
        INFO(p.range);
        const std::string got = co_await s.raw("GET", "/a.txt", std::string("Range: ") + p.range + "\r\n");
        CHECK(status_of(got) == 206);
        CHECK(body_of(got) == p.body);
        CHECK(header_of(got, "Content-Range") == p.content_range);
    }
    for (const char* ignored : {"bytes=3-2", "bytes=a-b", "bytes=0-1,4-5", "lines=0-1", "bytes", "bytes=", "bytes=-", "bytes=1", "bytes=1-2x", "bytes=+1-2"}) {
        INFO(ignored);
        const std::string got = co_await s.raw("GET", "/a.txt", std::string("Range: ") + ignored + "\r\n");
        CHECK(status_of(got) == 200);
        CHECK(body_of(got) == "0123456789");
    }
    for (const char* behind : {"bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"}) {
        INFO(behind);
        const std::string got = co_await s.raw("GET", "/a.txt", std::string("Range: ") + behind + "\r\n");
        CHECK(status_of(got) == 416);
        CHECK(header_of(got, "Content-Range") == "bytes */10");
    }
    const std::string end_of_nothing = co_await s.raw("GET", "/empty", "Range: bytes=-5\r\n");
    CHECK(status_of(end_of_nothing) == 200);
    const std::string behind_nothing = co_await s.raw("GET", "/empty", "Range: bytes=0-\r\n");
    CHECK(status_of(behind_nothing) == 416);
    const std::string head = co_await s.raw("HEAD", "/a.txt", "Range: bytes=0-3\r\n"); // of GET only
    CHECK(status_of(head) == 200);
}

EDDY_TEST("conditions on what the client has already") {
    file_service s;
    co_await s.start();
    const std::string first = co_await s.raw("GET", "/a.txt");
    const std::string tag = header_of(first, "ETag");
    const std::string date = header_of(first, "Last-Modified");
    class condition {
    public:
        condition(std::string h, int expected) : head(std::move(h)), status(expected) {}
        std::string head;
        int status;
    };
    const std::string old = "Sun, 06 Nov 1994 08:49:37 GMT";
    const std::string part = "\r\nRange: bytes=0-0";
    std::vector<condition> conditions;
    const auto given = [&](const std::string& head, int expected) { conditions.emplace_back(head + "\r\n", expected); };
    given("If-None-Match: " + tag, 304);
    given("If-None-Match: W/" + tag, 304);
    given("If-None-Match: \"x\", " + tag, 304);
    given("If-None-Match: *", 304);
    given("If-None-Match: \"x\"", 200);
    given("If-None-Match: \"x,*,y\"", 200); // one tag
    given("If-None-Match: \"x\"\r\nIf-Modified-Since: " + date, 200);
    given("If-None-Match: " + tag + part, 304);
    given("If-Modified-Since: " + date, 304);
    given("If-Modified-Since: " + old, 200);
    given("If-Modified-Since: yesterday", 200);
    given("If-Match: " + tag, 200);
    given("If-Match: *", 200);
    given("If-Match: \"x\"", 412);
    given("If-Match: \"x,*,y\"", 412);
    given("If-Match: W/" + tag, 412);
    given("If-Unmodified-Since: " + old, 412);
    given("If-Unmodified-Since: " + date, 200);
    given("If-Range: " + tag + part, 206);
    given("If-Range: " + date + part, 206);
    given("If-Range: \"x\"" + part, 200);
    given("If-Range: W/" + tag + part, 200);
    given("If-Range: " + old + part, 200);
    for (const condition& c : conditions) {
        INFO(c.head);
        const std::string got = co_await s.raw("GET", "/a.txt", c.head);
        CHECK(status_of(got) == c.status);
        if (c.status == 304) {
            CHECK(header_of(got, "ETag") == tag);
            CHECK(body_of(got).empty());
        }
    }
    s.where().put("www/a.txt", "changed, and longer");
    const std::string changed = co_await s.raw("GET", "/a.txt", "If-None-Match: " + tag + "\r\n");
    CHECK(status_of(changed) == 200);
    CHECK(body_of(changed) == "changed, and longer");
}

EDDY_TEST("behind a route, the file is what the route found") {
    site where;
    http::router r;
    r.get("/static/{path...}", http::static_files(where.root())).get("/one/{name}", http::static_files(where.root()));
    http::server hs{std::move(r)};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response file = co_await hc.get(hs.url("/static/sub/b%20c.css"));
    CHECK(file.body == "p{}");
    const http::response index = co_await hc.get(hs.url("/static/"));
    CHECK(index.body == "<p>home");
    const http::response redirected = co_await hc.get(hs.url("/static/sub"));
    CHECK(redirected.body == "<p>sub");
    CHECK(redirected.url == hs.url("/static/sub/"));
    const http::response one = co_await hc.get(hs.url("/one/a.txt"));
    CHECK(one.body == "0123456789");
}

EDDY_TEST("large files arrive whole, and a file that shrinks meanwhile is not taken for whole") {
    file_service s;
    co_await s.start();
    std::string text(5'000'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    s.where().put("www/large.bin", text);
    http::client hc;
    const std::string url = s.server().url("/large.bin");
    const http::response whole = co_await hc.get(url);
    CHECK(whole.body == text);

    std::string reports;
    this_loop().set_exception_handler([&](const error_context& c) { reports += c.message; });
    s.where().put("www/large.bin", std::string(50'000'000, 'x'));
    raw_connection c = co_await raw_connection::open(s.server().port());
    co_await c.send("GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    static_cast<void>(co_await c.read_until("xxxx"));
    std::filesystem::resize_file(s.where().path("www/large.bin"), 10);
    const std::string rest = co_await c.read_to_end();
    CHECK(rest.ends_with("<reset>"));
    while (s.server().connections() > 0) co_await sleep_for(1s);
    this_loop().set_exception_handler({});
    CHECK(reports == "the body of an HTTP response failed: GET /large.bin");
}

EDDY_TEST("a folder that is not there is a mistake of ours, not of the client") {
    CHECK_THROWS_AS(http::static_files(""), std::invalid_argument);
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& c) {
        try {
            std::rethrow_exception(c.exception);
        } catch (const std::exception& e) {
            reports += e.what();
        }
    });
    http::server hs{http::static_files("/no/such/folder")};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    const http::response r = co_await hc.get(hs.url("/x"));
    CHECK(r.status == 500);
    CHECK(reports.find("'/no/such/folder'") != std::string::npos);
    this_loop().set_exception_handler({});
}

TEST_CASE("media types go by the ending of the name") {
    CHECK(http::media_type("a/b.HTML") == "text/html; charset=utf-8");
    CHECK(http::media_type("x.tar.gz") == "application/gzip");
    CHECK(http::media_type("a.b/c") == "application/octet-stream");
    CHECK(http::media_type("png") == "application/octet-stream");
    CHECK(http::media_type("") == "application/octet-stream");
}
