// The HTTP client and the TLS client against a real nginx.
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <curl/curl.h>

#include <eddy/eddy.hpp>
#include <eddy/fs.hpp>
#include <eddy/http.hpp>
#include <eddy/testing.hpp>
#if __has_include(<eddy/tls.hpp>)
#include <eddy/tls.hpp>
#endif

#include "interop/certificate.hpp"
#include "lib/left_out.hpp"

using namespace std::chrono_literals;
using namespace eddy;

namespace {

/// The path of nginx, which is often not where users look for programs; empty: there is none.
std::string nginx_program() {
    const char* const path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe)
    std::string folders = std::string(path ? path : "") + ":/usr/sbin:/usr/local/sbin:/sbin:";
    for (std::size_t end = folders.find(':'); end != std::string::npos; end = folders.find(':')) {
        const std::string file = folders.substr(0, end) + "/nginx";
        if (::access(file.c_str(), X_OK) == 0) return file;
        folders.erase(0, end + 1);
    }
    return {};
}

/// An nginx with a folder of its own and two ports of this machine, one of them for TLS if there is a certificate.
class nginx_server {
public:
    explicit nginx_server(std::string program) : program_(std::move(program)) {}

    /// With a folder `site` that can be filled.
    task<> prepare(const interop::certificate* certificate = nullptr) {
        folder_ = co_await temp_directory::create();
        co_await fs::create_directory(folder_.path() + "/site");
        if (!certificate) co_return;
        tls_ = "ssl_certificate " + certificate->file() + "; ssl_certificate_key " + certificate->key() + ";\n";
        tls_ += "ssl_protocols TLSv1.2 TLSv1.3;\n"; // older ones have no 1.3 unless they are told
    }
    /// Over TLS it speaks HTTP/2 as well, and passes on what is below /held to a server of ours.
    void speak_http2(std::uint16_t ours) {
        http2_ = " http2";
        passing_ = "location /held { proxy_pass http://127.0.0.1:" + std::to_string(ours) + "; }\n";
    }
    /// Until it takes connections. False: it does not, and `said` has why.
    task<bool> start() {
        for (int attempt = 0; attempt < 5; ++attempt) {
            choose_ports();
            co_await write_file(folder_.path() + "/nginx.conf", configuration());
            said.clear();
            heard_ = 0;
            command c(program_, "-p", folder_.path(), "-c", folder_.path() + "/nginx.conf", "-e", "stderr");
            c.stdin_null().stdout_null().stderr_pipe().new_process_group(); // if the test fails, its workers go with it
            process_ = co_await process::spawn(std::move(c));
            const bool started = co_await hear("start worker process ");
            if (started) co_return true;
            co_await process_.wait();
            if (said.find("Address already in use") == std::string::npos) break; // else somebody was quicker to take the port
        }
        co_return false;
    }
    /// Else the test fails.
    task<> must_start() {
        const bool started = co_await start();
        INFO(said);
        REQUIRE(started);
    }
    /// Its workers are replaced by new ones, and close the connections on which nothing is going on.
    task<bool> replace_workers() {
        process_.signal(SIGHUP);
        co_return co_await hear("exited with code 0");
    }
    /// In good order: requests that run are answered.
    task<> must_stop() {
        process_.signal(SIGQUIT);
        for (bool more = true; more;) more = co_await read_more();
        const exit_status how = co_await process_.wait();
        INFO(said);
        CHECK(how.success());
    }

    [[nodiscard]] std::string site() const { return folder_.path() + "/site"; }
    [[nodiscard]] std::string url(std::string_view target) const { return "http://127.0.0.1:" + std::to_string(port_) + std::string(target); }
    [[nodiscard]] std::string tls_url(std::string_view target) const { return "https://localhost:" + std::to_string(tls_port_) + std::string(target); }
    [[nodiscard]] std::uint16_t tls_port() const noexcept { return tls_port_; }
    std::string said;

private:
    /// nginx cannot ask the kernel for a free port: that is done here, and the port is free again when it starts.
    void choose_ports() {
        const tcp_listener one = tcp_listener::bind({"127.0.0.1", 0});
        const tcp_listener other = tcp_listener::bind({"127.0.0.1", 0});
        port_ = one.local_endpoint().port();
        tls_port_ = other.local_endpoint().port();
    }
    [[nodiscard]] std::string configuration() const {
        std::string text = "daemon off; worker_processes 1; pid nginx.pid; error_log stderr notice;\n";
        if (::geteuid() == 0) text += "user root;\n"; // who else could read this folder?
        text += "events { worker_connections 64; }\nhttp {\n";
        text += "access_log off; gzip off; default_type text/html; keepalive_timeout 60;\n";
        text += "client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;\n";
        text += "map $http_x_pace $pace { default 0; slow 1k; }\n";
        text += "server {\nlisten 127.0.0.1:" + std::to_string(port_) + "; root site;\n";
        if (!tls_.empty()) text += "listen 127.0.0.1:" + std::to_string(tls_port_) + " ssl" + http2_ + ";\n" + tls_;
        text += "client_max_body_size 10k; add_header X-Request $connection_requests always; add_header X-Connection $connection always;\n";
        text += "location = /hello { return 200 \"hello\\n\"; }\n";
        text += "location = /once { keepalive_timeout 0; return 200 \"once\\n\"; }\n";
        text += "location = /upload { return 204; }\n";
        text += passing_ + "location = /page.html { ssi on; }\n"; // its length is not known beforehand: in chunks
        text += "location = /big.bin { limit_rate_after 1m; limit_rate $pace; }\n}\n}\n";
        return text;
    }
    /// More of what it says; false: that was all.
    task<bool> read_more() {
        std::array<std::byte, 4096> part{};
        const std::size_t n = co_await process_.stderr_stream().read_some(part);
        said.append(reinterpret_cast<const char*>(part.data()), n);
        co_return n > 0;
    }
    /// Reads until the text comes, behind where one came last; false: it does not.
    task<bool> hear(std::string text) {
        for (bool more = true; more;) {
            const std::size_t at = said.find(text, heard_);
            if (at != std::string::npos) {
                heard_ = at + text.size();
                co_return true;
            }
            more = co_await read_more();
        }
        co_return false;
    }

    std::string program_;
    temp_directory folder_;
    process process_;
    std::string tls_;
    std::string http2_;
    std::string passing_;
    std::uint16_t port_ = 0;
    std::uint16_t tls_port_ = 0;
    std::size_t heard_ = 0;
};

/// "200 hello", and how many requests there have been on the connection, as nginx counts them.
task<std::string> nginx_answer(http::client& hc, std::string url) {
    const http::response res = co_await hc.get(std::move(url));
    co_return std::to_string(res.status) + " " + res.body.substr(0, res.body.find_first_of("\r\n")) + ", request " + res.header("X-Request") +
        (res.connection_reused ? " of a connection that was kept" : "");
}

} // namespace

EDDY_TEST_REAL("interop: nginx keeps connections, and closes them between requests") {
    const std::string program = nginx_program();
    if (program.empty()) {
        WARN("there is no nginx: the HTTP client is not tested against it");
        co_return;
    }
    nginx_server nginx(program);
    co_await nginx.prepare();
    co_await nginx.must_start();
    http::client hc;
    const std::array<const char*, 5> targets{"/hello", "/hello", "/missing", "/once", "/hello"};
    std::string log;
    for (const char* target : targets) {
        const std::string answer = co_await nginx_answer(hc, nginx.url(target));
        log += answer + "; ";
    }
    CHECK(log == "200 hello, request 1; 200 hello, request 2 of a connection that was kept; "
                 "404 <html>, request 3 of a connection that was kept; 200 once, request 4 of a connection that was kept; "
                 "200 hello, request 1; ");
    const bool replaced = co_await nginx.replace_workers(); // no answer has said that the connection ends
    CHECK(replaced);
    const std::string after = co_await nginx_answer(hc, nginx.url("/hello"));
    CHECK(after == "200 hello, request 1");
    co_await nginx.must_stop();
}

EDDY_TEST_REAL("interop: nginx sends in chunks what it puts together") {
    const std::string program = nginx_program();
    if (program.empty()) co_return;
    nginx_server nginx(program);
    co_await nginx.prepare();
    std::string page;
    std::string expected;
    for (int i = 0; i < 20'000; ++i) {
        page += "line <!--# echo var=\"arg_who\" -->\n";
        expected += "line amy\n";
    }
    co_await write_file(nginx.site() + "/page.html", page);
    co_await nginx.must_start();
    http::client hc;
    const http::response whole = co_await hc.get(nginx.url("/page.html?who=amy"));
    CHECK(whole.status == 200);
    CHECK(whole.header("Transfer-Encoding") == "chunked");
    CHECK((whole.body == expected));
    http::streamed_response piecewise = co_await hc.stream(nginx.url("/page.html?who=amy"));
    buffered_reader reader(piecewise.body);
    const std::string read = co_await reader.read_to_end();
    CHECK((read == expected));
    co_await nginx.must_stop();
}

EDDY_TEST_REAL("interop: nginx refuses an upload that is too large before it is sent") {
    const std::string program = nginx_program();
    if (program.empty()) co_return;
    nginx_server nginx(program);
    co_await nginx.prepare();
    co_await nginx.must_start();
    http::client hc;
    const http::response small = co_await hc.post(nginx.url("/upload"), std::string(10'000, 'x'));
    CHECK(small.status == 204);
    const http::response large = co_await hc.post(nginx.url("/upload"), std::string(200'000, 'x'));
    CHECK(large.status == 413);
    temp_file source = co_await temp_file::create();
    const std::string content(5'000'000, 'y');
    co_await source.file().write(content);
    file f = co_await file::open(source.path());
    const http::response larger = co_await hc.upload("PUT", nginx.url("/upload"), std::move(f));
    CHECK(larger.status == 413);
    const std::string after = co_await nginx_answer(hc, nginx.url("/hello"));
    CHECK(after == "200 hello, request 1"); // nginx ends the connection of what it has not read
    co_await nginx.must_stop();
}

EDDY_TEST_REAL("interop: a download from nginx goes on where it was broken off") {
    const std::string program = nginx_program();
    if (program.empty()) co_return;
    nginx_server nginx(program);
    co_await nginx.prepare();
    std::string content;
    for (int i = 0; content.size() < 5'000'000; ++i) content += std::to_string(i) + "\n";
    co_await write_file(nginx.site() + "/big.bin", content);
    co_await nginx.must_start();
    http::client hc;
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/big.bin";
    const std::array<http::header, 1> slowly{http::header("X-Pace", "slow")}; // after 1 MiB, 1 KiB/s
    http::download_progress progress;
    auto first = spawn(hc.download(nginx.url("/big.bin"), path, {.request = {.headers = slowly}, .progress = &progress}));
    while (progress.received < 500'000 && !first.done()) co_await sleep_for(1ms);
    co_await first.cancel_and_join();
    CHECK(first.cancelled());
    const bool there = co_await fs::exists(path);
    CHECK_FALSE(there);
    const http::download_result done = co_await hc.download(nginx.url("/big.bin"), path);
    CHECK(done.resumed_from >= 500'000);
    CHECK(done.size == content.size());
    CHECK(done.headers.get("Content-Range") ==
          "bytes " + std::to_string(done.resumed_from) + "-" + std::to_string(content.size() - 1) + "/" + std::to_string(content.size()));
    const std::string got = co_await read_file(path);
    CHECK((got == content));
    const std::array<http::header, 1> part{http::header("Range", "bytes=100-199")};
    const http::response some = co_await hc.get(nginx.url("/big.bin"), {.headers = part});
    CHECK(some.status == 206);
    CHECK(some.body == content.substr(100, 100));
    co_await nginx.must_stop();
}

#if __has_include(<eddy/tls.hpp>)

namespace {

/// Why nginx is not asked for TLS; empty if it is.
task<std::string> why_no_nginx_tls(const std::string& program, const interop::certificate& c) {
    if (program.empty()) co_return "there is no nginx";
    if (!c) co_return "there is no openssl";
    const completed_process version = co_await run_process(command(program, "-V"));
    co_return version.err.find("http_ssl_module") == std::string::npos ? "this nginx has no TLS" : "";
}

task<std::string> page_over_tls(std::uint16_t port, tls_context context) {
    tls_stream t = co_await tls_connect("127.0.0.1", port, context, {.server_name = "localhost"});
    co_await t.write("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    buffered_reader r{t};
    const std::string page = co_await r.read_to_end(); // throws if the end is not TLS's own
    co_await t.close();
    co_return t.tls_info().version + " " + t.alpn_protocol() + (t.tls_info().resumed ? " resumed " : " ") + page.substr(0, page.find('\r'));
}

} // namespace

EDDY_TEST_REAL("interop: tls_connect to nginx, with resumption, and HTTPS") {
    const interop::certificate c;
    const std::string program = nginx_program();
    const std::string lack = co_await why_no_nginx_tls(program, c);
    if (!lack.empty()) {
        WARN(lack << ": TLS is not tested against nginx");
        co_return;
    }
    nginx_server nginx(program);
    co_await nginx.prepare(&c);
    co_await nginx.must_start();
    tls_context trusting = tls_context::client(tls_trust::nobody);
    trusting.trust_file(c.file());
    trusting.alpn({"http/1.1"});
    const std::string page = co_await page_over_tls(nginx.tls_port(), trusting);
    CHECK(page == "TLSv1.3 http/1.1 HTTP/1.1 200 OK");
    const std::string again = co_await page_over_tls(nginx.tls_port(), trusting);
    CHECK(again == "TLSv1.3 http/1.1 resumed HTTP/1.1 200 OK");
    std::string refusal;
    try {
        static_cast<void>(co_await page_over_tls(nginx.tls_port(), tls_context::client(tls_trust::nobody)));
    } catch (const tls_error& e) {
        refusal = e.what();
    }
    CHECK(refusal.ends_with(": certificate verify failed: self-signed certificate"));

    const std::string file = c.file();
    http::client hc{{.ca_file = file}};
    const std::array<std::string, 2> expected{"200 hello, request 1", "200 hello, request 2 of a connection that was kept"};
    for (const std::string& e : expected) {
        const std::string answer = co_await nginx_answer(hc, nginx.tls_url("/hello"));
        CHECK(answer == e);
    }
    co_await nginx.must_stop();
}

namespace {

/// Keeps its answers back until there is a word. All that is asked meanwhile is under way at the same time.
class held_answers {
public:
    explicit held_answers(int expected) : expected_(expected) {}
    /// Much more than the windows of HTTP/2 let through at once. Not inlined, since GCC 12 knows then how long it is, and warns of a move
    /// out of a short string's place that never happens.
    [[nodiscard, gnu::noinline]] static std::string body_for(std::string_view target) {
        std::string body;
        while (body.size() < 1'000'000) body.append(target).append("\n");
        return body;
    }
    task<http::response> answer(http::request q) {
        if (++asked_ == expected_) all_asked.set();
        co_await word.wait();
        co_return http::response{200, body_for(q.target)};
    }
    event all_asked;
    event word;

private:
    int expected_;
    int asked_ = 0;
};

/// The version, the status and the connection of an answer, and whether it is whole.
task<std::string> held_answer(http::client& hc, std::string base, std::string target) {
    const http::response res = co_await hc.get(base + target);
    const bool whole = res.body == held_answers::body_for(target);
    co_return std::to_string(res.http_version) + " " + std::to_string(res.status) + " over " + res.header("X-Connection") + (whole ? "" : ", torn");
}

} // namespace

EDDY_TEST_REAL("interop: HTTP/2 to nginx: requests share a connection, and one that is cancelled leaves the others whole") {
    const interop::certificate c;
    const std::string program = nginx_program();
    std::string lack = co_await why_no_nginx_tls(program, c);
    if (lack.empty()) {
        const completed_process version = co_await run_process(command(program, "-V"));
        if (version.err.find("http_v2_module") == std::string::npos) lack = "this nginx has no HTTP/2";
        if ((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) == 0) lack = "this libcurl has no HTTP/2";
    }
    if (!lack.empty()) {
        tests::left_out(lack + ": HTTP/2 is not tested");
        co_return;
    }
    constexpr int count = 5;
    held_answers held(count);
    http::server ours{[&held](http::request q) { return held.answer(std::move(q)); }};
    co_await ours.listen({"127.0.0.1", 0});
    nginx_server nginx(program);
    co_await nginx.prepare(&c);
    nginx.speak_http2(ours.port());
    co_await nginx.must_start();
    const std::string file = c.file();
    http::client hc{{.ca_file = file, .http2 = true}};
    const http::response first = co_await hc.get(nginx.tls_url("/hello"));
    CHECK(first.http_version == 20);
    CHECK(first.body == "hello\n");
    const std::string connection = first.header("X-Connection");
    std::vector<task_handle<std::string>> all;
    for (int i = 0; i < count; ++i) all.push_back(spawn(held_answer(hc, nginx.tls_url(""), "/held/" + std::to_string(i))));
    co_await held.all_asked.wait(); // none is answered yet: they are on their way beside each other
    co_await all[2].cancel_and_join();
    CHECK(all[2].cancelled());
    const std::string beside = co_await nginx_answer(hc, nginx.tls_url("/hello"));
    CHECK(beside == "200 hello, request " + std::to_string(count + 2) + " of a connection that was kept");
    held.word.set();
    for (int i = 0; i < count; ++i) {
        if (i == 2) continue;
        const std::string answer = co_await all[static_cast<std::size_t>(i)];
        CHECK(answer == "20 200 over " + connection);
    }
    co_await ours.shutdown(10s);
    co_await nginx.must_stop();
}

#endif
