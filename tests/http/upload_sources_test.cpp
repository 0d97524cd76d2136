// Uploads from files, forms with files in them, and streams.
#include "http/peer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "lib/words.hpp"

using namespace http_tests;

namespace {

/// How a body was announced, and what it was.
task<http::response> tell_upload(http::request q) {
    co_return http::response{200, q.header("Content-Length") + "|" + q.header("Transfer-Encoding") + "|" + q.body};
}

async_generator<std::string> words_and_pause() {
    std::string first = "some ";
    co_yield first;
    co_await sleep_for(1s);
    std::string second = "more";
    co_yield second;
}

/// The body without its head, and with its boundary written B.
std::string without_boundary(std::string text) {
    const std::size_t start = text.find("--");
    const std::string boundary = text.substr(start + 2, text.find('\r', start) - start - 2);
    for (std::size_t at = text.find(boundary); at != std::string::npos; at = text.find(boundary)) text.replace(at, boundary.size(), "B");
    return text.substr(start);
}

} // namespace

EDDY_TEST("a file is uploaded from its position to its end, with its length") {
    http::server hs{tell_upload};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/f";
    std::string all;
    for (std::size_t i = 0; i < 5; ++i) all.append(100'001, static_cast<char>('a' + i));
    co_await write_file(path, all);
    file whole = co_await file::open(path);
    const http::response sent = co_await hc.upload("PUT", hs.url(), std::move(whole));
    CHECK((sent.body == "500005||" + all));
    file rest = co_await file::open(path);
    rest.seek(500'000);
    const http::response end = co_await hc.upload("POST", hs.url(), std::move(rest));
    CHECK(end.body == "5||eeeee");
    file part = co_await file::open(path);
    const http::response begin = co_await hc.upload("PUT", hs.url(), std::move(part), {.content_length = 3});
    CHECK(begin.body == "3||aaa");
    co_await write_file(path, "");
    file empty = co_await file::open(path);
    const http::response nothing = co_await hc.upload("PUT", hs.url(), std::move(empty));
    CHECK(nothing.body == "0||");
}

EDDY_TEST("what does not tell its size is uploaded in chunks") {
    http::server hs{tell_upload};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    file of_proc = co_await file::open("/proc/sys/kernel/ostype");
    const http::response kernel = co_await hc.upload("PUT", hs.url(), std::move(of_proc));
    CHECK(kernel.body == "|chunked|Linux\n");
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const ssize_t put = ::write(ends[1], "abc", 3);
    ::close(ends[1]);
    CHECK(put == 3);
    const http::response piped = co_await hc.upload("PUT", hs.url(), file::adopt(ends[0], "a pipe"));
    CHECK(piped.body == "|chunked|abc");
}

EDDY_TEST("a file that is shorter than announced, that cannot be read or is closed is told by its name") {
    http::server hs{tell_upload};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/f";
    co_await write_file(path, "0123456789");
    file small = co_await file::open(path);
    const std::string less = co_await words::ending(hc.upload("PUT", hs.url(), std::move(small), {.content_length = 20}));
    CHECK(less == "'" + path + "' ended after 10 of the 20 bytes that were announced");
    file directory = co_await file::open(folder.path());
    const std::string no_file = co_await words::ending(hc.upload("PUT", hs.url(), std::move(directory)));
    CHECK(no_file.find(folder.path()) != std::string::npos);
    CHECK(no_file.find("Is a directory") != std::string::npos);
    file closed = co_await file::open(path);
    co_await closed.close();
    const std::string not_open = co_await words::ending(hc.upload("PUT", hs.url(), std::move(closed)));
    CHECK(not_open.find("not open") != std::string::npos);
    CHECK(hc.active() == 0);
    const http::response fine = co_await hc.get(hs.url());
    CHECK(fine.status == 200);
}

EDDY_TEST("any stream can be uploaded, taken over or referred to") {
    http::server hs{tell_upload};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    testing::memory_streams ends = testing::memory_stream_pair();
    co_await ends.a.write("hello and goodbye"sv);
    co_await ends.a.shutdown_write();
    const http::response some = co_await hc.upload("POST", hs.url(), ends.b, {.content_length = 5});
    CHECK(some.body == "5||hello");
    const http::response rest = co_await hc.upload("POST", hs.url(), std::move(ends.b));
    CHECK(rest.body == "|chunked| and goodbye");
    http::streamed_response from = co_await hc.stream(hs.url());
    const http::response passed_on = co_await hc.upload("PUT", hs.url(), std::move(from.body));
    CHECK(passed_on.body == "|chunked|||");
    testing::memory_streams short_ends = testing::memory_stream_pair();
    co_await short_ends.a.write("hi"sv);
    co_await short_ends.a.shutdown_write();
    const std::string less = co_await words::ending(hc.upload("POST", hs.url(), std::move(short_ends.b), {.content_length = 5}));
    CHECK(less == "upload to " + hs.url() + ": the source gave less than the 5 bytes that were announced");
}

EDDY_TEST("a form is uploaded with its files, with a length if all of them have one") {
    http::server hs{[](http::request q) -> task<http::response> {
        const bool exact = q.header("Content-Length") == std::to_string(q.body.size());
        const std::string how = exact ? "exact " : q.header("Transfer-Encoding") + " ";
        const bool typed = q.header("Content-Type").starts_with("multipart/form-data; boundary=----eddy");
        co_return http::response{200, how + (typed ? "" : "untyped ") + q.body};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/photo.png";
    co_await write_file(path, "PNG\r\n");
    const std::string start = "--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nx\r\n"
                              "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"photo.png\"\r\n"
                              "Content-Type: image/png\r\n\r\nPNG\r\n\r\n"
                              "--B\r\nContent-Disposition: form-data; name=\"g\"; filename=\"n\"\r\n"
                              "Content-Type: application/octet-stream\r\n\r\nPNG\r\n\r\n";
    const std::string end = "--B\r\nContent-Disposition: form-data; name=\"s\"; filename=\"s.txt\"\r\n"
                            "Content-Type: text/plain\r\n\r\nsome more\r\n"
                            "--B--\r\n";
    for (const bool known : {true, false}) {
        http::multipart m;
        m.field("t", "x").file("f", path).file("g", path, {.file_name = "n", .content_type = "application/octet-stream"});
        std::optional<std::uint64_t> size;
        if (known) size = 9;
        m.stream("s", "s.txt", "text/plain", words_and_pause(), size);
        const http::response res = co_await hc.upload("POST", hs.url(), std::move(m));
        CHECK(res.body.starts_with(known ? "exact --" : "chunked --"));
        CHECK(without_boundary(res.body) == start + end);
    }
    http::multipart in_memory;
    in_memory.field("t", "x").file("f", "n", "", "bytes"sv);
    const std::string body = in_memory.body();
    const http::response plain = co_await hc.upload("PUT", hs.url(), std::move(in_memory));
    CHECK(plain.body == "exact " + body);
}

EDDY_TEST("a form whose file is not there is not sent") {
    int asked = 0;
    http::server hs{[&](http::request) -> task<http::response> {
        ++asked;
        co_return http::response{200};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    http::multipart m;
    m.file("f", "/nowhere/at.all");
    const std::string how = co_await words::ending(hc.upload("POST", hs.url(), std::move(m)));
    CHECK(how.find("/nowhere/at.all") != std::string::npos);
    CHECK(asked == 0);
    CHECK(hc.active() == 0);
    CHECK_THROWS_AS(hc.upload("HEAD", hs.url(), http::multipart()), std::invalid_argument);
    CHECK_THROWS_AS(hc.upload("HEAD", hs.url(), file()), std::invalid_argument);
}

EDDY_TEST("uploads of files, forms and streams that are cancelled at any moment leave nothing behind") {
    http::server hs{tell_upload};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc;
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/f";
    co_await write_file(path, std::string(300'000, 'x'));
    for (int ticks = 0; ticks < 40; ++ticks) {
        file f = co_await file::open(path);
        http::multipart m;
        m.file("f", path).file("g", path);
        testing::memory_streams ends = testing::memory_stream_pair();
        co_await ends.a.write("some"sv);
        auto of_file = spawn(hc.upload("PUT", hs.url(), std::move(f)));
        auto of_form = spawn(hc.upload("PUT", hs.url(), std::move(m)));
        auto of_stream = spawn(hc.upload("PUT", hs.url(), std::move(ends.b))); // never ends by itself
        for (int i = 0; i < ticks; ++i) co_await this_task::yield();
        co_await of_file.cancel_and_join();
        co_await of_form.cancel_and_join();
        co_await of_stream.cancel_and_join();
        CHECK(of_stream.cancelled());
    }
    CHECK(hc.active() == 0);
    const http::response fine = co_await hc.get(hs.url());
    CHECK(fine.status == 200);
}
