// What a client remembers between requests: cookies. And the version of HTTP that is spoken.
#include "http/support.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "lib/full_disk.hpp"
#include "lib/words.hpp"

using namespace http_tests;

namespace {

/// /set?c=… sets a cookie, /go redirects to /; everything else tells which cookies have come.
task<http::response> cookie_handler(http::request q) {
    if (q.path() == "/set") co_return http::response{200, q.header("Cookie")}.add("Set-Cookie", q.parameter("c").value_or(""));
    if (q.path() == "/go") co_return http::response(302).set("Location", "/").set("Set-Cookie", "went=1");
    co_return http::response{200, q.header("Cookie")};
}

/// What `hc` has, in the order of names, as "name=value domain path flags expires;".
std::string jar(const http::client& hc) {
    std::vector<http::cookie> all = hc.cookies();
    std::sort(all.begin(), all.end(), [](const http::cookie& a, const http::cookie& b) { return a.name < b.name; });
    std::string text;
    for (const http::cookie& c : all) {
        text += c.name + "=" + c.value + " " + c.domain + " " + c.path;
        text += std::string(c.subdomains ? " subdomains" : "") + (c.secure ? " secure" : "") + (c.http_only ? " http_only" : "");
        if (c.expires) text += " " + std::to_string(c.expires->time_since_epoch().count());
        text += ";";
    }
    return text;
}

constexpr std::chrono::sys_seconds year_2100{std::chrono::seconds(4'102'444'800)};

} // namespace

EDDY_TEST("cookies that a server sets go with later requests, if the client keeps them") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    co_await hc.get(hs.url("/set?c=" + http::form_encode("a=1")));
    co_await hc.get(hs.url("/set?c=" + http::form_encode("b=2; Path=/deep")));
    const http::response top = co_await hc.get(hs.url());
    CHECK(top.body == "a=1");
    const http::response deep = co_await hc.get(hs.url("/deep/x"));
    CHECK((deep.body == "b=2; a=1" || deep.body == "a=1; b=2"));
    const http::response moved = co_await hc.get(hs.url("/go"));
    CHECK((moved.body == "a=1; went=1" || moved.body == "went=1; a=1"));
    co_await hc.get(hs.url("/set?c=" + http::form_encode("a=; Max-Age=0")));
    const http::response without = co_await hc.get(hs.url());
    CHECK(without.body == "went=1");
    http::client other{{.cookies = true}};
    const http::response of_other = co_await other.get(hs.url());
    CHECK(of_other.body.empty());
}

EDDY_TEST("requests at the same time share the cookies, and a streamed one too") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    http::streamed_response set = co_await hc.stream(hs.url("/set?c=a%3D1"));
    auto one = spawn(hc.get(hs.url()));
    auto two = spawn(hc.get(hs.url()));
    const http::response first = co_await one;
    const http::response second = co_await two;
    CHECK(first.body + "|" + second.body == "a=1|a=1");
    const http::response third = co_await hc.post(hs.url(), "body");
    CHECK(third.body == "a=1");
}

EDDY_TEST("cookies are forgotten when they are cleared, and not kept by default") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    co_await hc.get(hs.url("/set?c=a%3D1"));
    hc.clear_cookies();
    const http::response cleared = co_await hc.get(hs.url());
    CHECK(cleared.body.empty());
    co_await hc.get(hs.url("/set?c=b%3D1"));
    const http::response again = co_await hc.get(hs.url());
    CHECK(again.body == "b=1");
    http::client plain;
    plain.clear_cookies();
    co_await plain.get(hs.url("/set?c=a%3D1"));
    const http::response none = co_await plain.get(hs.url());
    CHECK(none.body.empty());
}

EDDY_TEST("a response tells the version of HTTP, and http2 has no effect without TLS") {
    http::server hs{[](http::request q) -> task<http::response> {
        if (q.target == "/old") co_return http::response::raw("HTTP/1.0 200 OK\r\n\r\nold");
        co_return http::response{200, "1." + std::to_string(q.minor_version) + q.header("Upgrade")};
    }};
    co_await hs.listen({"127.0.0.1", 0});
    for (const bool http2 : {false, true}) {
        http::client hc{{.http2 = http2}};
        const http::response res = co_await hc.get(hs.url());
        CHECK(res.http_version == 11);
        CHECK(res.body == "1.1");
        const http::response old = co_await hc.get(hs.url("/old"));
        CHECK(old.http_version == 10);
        CHECK(old.body == "old");
    }
}

EDDY_TEST("cookies can be looked at") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    CHECK(hc.cookies().empty());
    co_await hc.get(hs.url("/set?c=" + http::form_encode("a=1; Path=/deep; HttpOnly")));
    co_await hc.get(hs.url("/set?c=" + http::form_encode("b=; Expires=Fri, 01 Jan 2100 00:00:00 GMT")));
    const std::string kept = jar(hc);
    // libcurl before 8.16 keeps times as they are told; later ones cap them at 400 days, as browsers do
    CHECK(kept.starts_with("a=1 127.0.0.1 /deep http_only;b= 127.0.0.1 / "));
    hc.clear_cookies();
    CHECK(hc.cookies().empty());
}

EDDY_TEST("a cookie that is set goes where it belongs, and one whose time is over takes it away") {
    http::server hs{cookie_handler};
    co_await hs.listen({"127.0.0.1", 0});
    http::client hc{{.cookies = true}};
    hc.set_cookie({.name = "a", .value = "1", .domain = "127.0.0.1"});
    hc.set_cookie({.name = "b", .value = "2 x=y", .domain = "127.0.0.1", .path = "/deep"});
    hc.set_cookie({.name = "c", .value = "3", .domain = "example.org", .subdomains = true, .secure = true, .http_only = true});
    const http::response top = co_await hc.get(hs.url());
    CHECK(top.body == "a=1");
    const http::response deep = co_await hc.get(hs.url("/deep/x"));
    CHECK((deep.body == "b=2 x=y; a=1" || deep.body == "a=1; b=2 x=y"));
    CHECK(jar(hc) == "a=1 127.0.0.1 /;b=2 x=y 127.0.0.1 /deep;c=3 example.org / subdomains secure http_only;");
    hc.set_cookie({.name = "a", .value = "new", .domain = "127.0.0.1"});
    const http::response replaced = co_await hc.get(hs.url());
    CHECK(replaced.body == "a=new");
    hc.set_cookie({.name = "a", .domain = "127.0.0.1", .expires = std::chrono::sys_seconds(std::chrono::seconds(1))});
    CHECK(jar(hc).starts_with("b="));
    const http::response gone = co_await hc.get(hs.url());
    CHECK(gone.body.empty());
}

TEST_CASE("what is no cookie is not set, and none without the option") {
    http::client hc{{.cookies = true}};
    const auto set = [&](const http::cookie& c) { return words::of_call([&] { return hc.set_cookie(c), 0; }); };
    const std::string start = "http: the cookie 'n' of 'd.example' cannot be set: ";
    CHECK(set({.name = "n", .value = "a\tb", .domain = "d.example"}) == start + "there is a control character in it");
    CHECK(set({.name = "n", .value = "a\nb", .domain = "d.example"}) == start + "there is a control character in it");
    CHECK(set({.name = "n", .value = "a;b", .domain = "d.example"}) == start + "there is a ';' in its value");
    CHECK(set({.name = "n", .value = " a", .domain = "d.example"}) == start + "it begins or ends with a space");
    CHECK(set({.name = "n", .domain = "d.example", .path = "x"}) == start + "its path has to begin with '/'");
    CHECK(set({.name = "", .value = "v", .domain = "d.example"}).find("its name is empty") != std::string::npos);
    for (const char* const domain : {"", ".d.example", "a b", "#d", "d/e"}) {
        const std::string how = set({.name = "n", .value = "v", .domain = domain});
        CHECK(how.ends_with("its domain has to be a host without a dot before it"));
    }
    CHECK(set({.name = "__Secure-n", .domain = "d.example"}).ends_with("one of that name has to be secure"));
    CHECK(set({.name = "__Host-n", .domain = "d.example", .path = "/p", .secure = true}).ends_with("for the path '/'"));
    CHECK(hc.cookies().empty());
    http::client plain;
    CHECK_THROWS_AS(plain.set_cookie({.name = "n", .value = "v", .domain = "d.example"}), std::logic_error);
    CHECK_THROWS_AS(plain.load_cookies("x"), std::logic_error);
    CHECK_THROWS_AS(plain.save_cookies("x"), std::logic_error);
    CHECK(plain.cookies().empty());
}

EDDY_TEST("cookies are saved to a file of their owner's and loaded again, more than libcurl takes at once") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/jar";
    http::client hc{{.cookies = true}};
    for (int i = 0; i < 130; ++i) hc.set_cookie({.name = "n" + std::to_string(i), .value = "v", .domain = "d.example"});
    hc.set_cookie({.name = "x", .domain = "d.example", .subdomains = true, .secure = true, .http_only = true, .expires = year_2100});
    co_await hc.save_cookies(path);
    struct stat st {};
    REQUIRE(::stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
    const std::string text = co_await read_file(path);
    CHECK(text.starts_with("# Netscape HTTP Cookie File\n"));
    CHECK(text.find("\nd.example\tFALSE\t/\tFALSE\t0\tn129\tv\n") != std::string::npos);
    CHECK(text.find("\n#HttpOnly_.d.example\tTRUE\t/\tTRUE\t") != std::string::npos);
    http::client next{{.cookies = true}};
    const std::size_t n = co_await next.load_cookies(path);
    CHECK(n == 131);
    CHECK(jar(next) == jar(hc));
    const std::string missing = co_await words::ending(next.load_cookies(folder.path() + "/none"));
    CHECK(missing.find(folder.path() + "/none") != std::string::npos);
    const std::string nowhere = co_await words::ending(next.save_cookies(folder.path() + "/none/jar"));
    CHECK(nowhere == "cannot save the cookies in '" + folder.path() + "/none/jar': No such file or directory");
}

EDDY_TEST("cookies are not saved to a disk that is full: the file is as it was, and the error names it") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/jar";
    http::client hc{{.cookies = true}};
    hc.set_cookie({.name = "a", .value = "1", .domain = "d.example"});
    co_await hc.save_cookies(path);
    const std::string before = co_await read_file(path);
    hc.set_cookie({.name = "b", .value = "2", .domain = "d.example"});
    std::string end;
    {
        const tests::full_disk disk(before.size());
        end = co_await words::ending(hc.save_cookies(path));
    }
    CHECK(end == "cannot save the cookies in '" + path + "': File too large");
    std::string text = co_await read_file(path);
    CHECK(text == before);
    std::size_t names = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder.path())) ++names;
    CHECK(names == 1);
    co_await hc.save_cookies(path);
    text = co_await read_file(path);
    CHECK(text.size() > before.size());
}

EDDY_TEST("cookies of other programs' files are loaded; what is no such file is told, and sets none") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/jar";
    const std::string good = "# Netscape HTTP Cookie File\n\n  \r\nd.example\tFALSE\t/\tFALSE\t0\ta\t1\r\n"
                             ".d.example\ttrue\t/x\tFALSE\t4102444800\tb\n"
                             "#HttpOnly_d.example\tFALSE\t/\tFALSE\t0\tc\t3\n"
                             "d.example\tFALSE\t/\tFALSE\t1\told\tv\n"
                             "d.example\tFALSE\t/\tFALSE\t0\t__Host-insecure\tv\n"
                             "d.example\tFALSE\t/\tFALSE\t0\td\t4";
    co_await write_file(path, good);
    http::client hc{{.cookies = true}};
    const std::size_t n = co_await hc.load_cookies(path);
    CHECK(n == 5); // the old one counts
    const std::string kept = jar(hc);
    CHECK(kept.starts_with("a=1 d.example /;b= d.example /x subdomains "));
    CHECK(kept.ends_with(";c=3 d.example / http_only;d=4 d.example /;"));
    const std::array<std::string, 4> lines{"nonsense", "d.example\tFALSE\t/\tFALSE\tsoon\ta\t1", "d.example\tMAYBE\t/\tFALSE\t0\ta\t1",
                                           "d.example\tFALSE\t/\tFALSE\t0"};
    for (const std::string& line : lines) {
        http::client other{{.cookies = true}};
        co_await write_file(path, "d.example\tFALSE\t/\tFALSE\t0\ta\t1\n" + line + "\n");
        const std::string how = co_await words::ending(other.load_cookies(path));
        CHECK(how == "'" + path + "', line 2: this is no cookie in Netscape's format");
        CHECK(other.cookies().empty());
    }
}

EDDY_TEST("loading or saving cookies that is cancelled at any moment has happened or not, and leaves nothing behind") {
    temp_directory folder = co_await temp_directory::create();
    const std::string path = folder.path() + "/jar";
    const std::string from = folder.path() + "/from";
    http::client hc{{.cookies = true}};
    hc.set_cookie({.name = "a", .value = "1", .domain = "d.example"});
    hc.set_cookie({.name = "b", .value = "2", .domain = "d.example"});
    co_await hc.save_cookies(from);
    const std::string whole = co_await read_file(from);
    for (int ticks = 0; ticks < 30; ++ticks) {
        std::filesystem::remove(path);
        auto saving = spawn(hc.save_cookies(path));
        for (int i = 0; i < ticks && !saving.done(); ++i) co_await this_task::yield();
        co_await saving.cancel_and_join();
        std::size_t names = 0;
        for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder.path())) ++names;
        const bool there = std::filesystem::exists(path);
        CHECK(names == (there ? 2U : 1U));
        if (there) {
            const std::string text = co_await read_file(path);
            CHECK(text == whole);
        }
        http::client other{{.cookies = true}};
        auto loading = spawn(other.load_cookies(from));
        for (int i = 0; i < ticks && !loading.done(); ++i) co_await this_task::yield();
        co_await loading.cancel_and_join();
        const std::size_t got = other.cookies().size();
        CHECK(got == (loading.cancelled() ? 0U : 2U));
    }
}
