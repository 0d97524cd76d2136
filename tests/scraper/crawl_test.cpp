// The crawler against a web server in the same program, in virtual time.
#include <eddy/file.hpp>
#include <eddy/http/server.hpp>
#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <map>
#include <sstream>

#include "crawler.hpp"
#include "site.hpp"

using namespace scraper;
using namespace std::chrono_literals;

namespace {

// Serves what stands in `pages`, and notes who asked for what.
class web {
public:
    web() : server_([this](eddy::http::request q) { return answer(std::move(q)); }) {}
    eddy::task<> start() {
        const eddy::ip_endpoint here("127.0.0.1", 0);
        co_await server_.listen(here);
    }
    eddy::task<> stop() { co_await server_.shutdown(0s); }
    std::string url(const std::string& path = "/") const { return server_.url(path); }

    std::map<std::string, site_page> pages;
    std::map<std::string, int> asked;
    int active = 0;
    int most_active = 0;

private:
    eddy::task<eddy::http::response> answer(eddy::http::request q) {
        const std::string path(q.path());
        const int times = ++asked[path];
        if (!pages.contains(path)) co_return eddy::http::response(404);
        const site_page& page = pages[path];
        most_active = std::max(most_active, ++active);
        if (page.how == manner::hanging) co_await eddy::sleep_for(1h);
        if (page.delay_ms > 0) co_await eddy::sleep_for(1ms * page.delay_ms);
        --active;
        eddy::http::response r(times <= page.failures ? 503 : page.status, page.body, page.content_type);
        if (!page.location.empty()) r.set("Location", page.location);
        co_return r;
    }
    eddy::http::server server_;
};

// A page with links to these.
site_page page(const std::string& links, int delay_ms = 0) {
    std::string body;
    std::istringstream words(links);
    for (std::string word; words >> word;) body += "<a href='" + word + "'>x</a>\n";
    return site_page{.body = body, .delay_ms = delay_ms};
}

struct result {
    statistics numbers;
    std::size_t failed = 0;
    bool cancelled = false;
};

options quick() {
    options o;
    o.per_host = 100;
    o.concurrency = 100;
    o.timeout = 1s;
    return o;
}

eddy::task<result> crawl(const options& o, std::vector<std::string> addresses, std::string out_path = "") {
    result r;
    reporter report(r.numbers, false);
    output out(std::move(out_path));
    co_await out.open();
    std::vector<url> start;
    for (const std::string& a : addresses) start.push_back(parse_url(a));
    crawler c(o, out, report, r.numbers);
    try {
        co_await c.run(start);
    } catch (const eddy::operation_cancelled&) {
        r.cancelled = true;
    }
    r.failed = c.failed();
    co_await eddy::shielded(out.close());
    co_return r;
}

eddy::task<result> crawl_one(const options& o, std::string address) {
    std::vector<std::string> addresses(1, std::move(address));
    result r = co_await crawl(o, std::move(addresses));
    co_return r;
}

} // namespace

EDDY_TEST("all pages of the demo are visited once, and nothing that robots.txt forbids") {
    site s(1);
    co_await s.start();
    const char* file = "crawl_test.jsonl";
    options o = quick();
    std::vector<std::string> start(1, s.address());
    const result r = co_await crawl(o, start, file);
    co_await s.stop();

    const site_plan plan(1);
    CHECK(r.numbers.pages == plan.pages().size() - 4 /* robots.txt, private/1, private/2, trap */ + 5 /* missing */);
    CHECK(r.numbers.disallowed == 2);
    CHECK(r.numbers.nofollow == 2);
    CHECK(r.numbers.by_status.at(404) == 5);
    CHECK(r.numbers.by_status.at(500) == 3);
    const std::map<std::string, std::size_t> errors{{"bad HTTP", 1},      {"bad redirect", 1}, {"disconnected", 1},
                                                    {"redirect loop", 1}, {"timeout", 3},      {"too large", 1},
                                                    {"truncated", 3}};
    CHECK(r.numbers.errors == errors);
    CHECK(r.failed == 0);
    const std::string text = co_await eddy::read_file(file);
    CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) == r.numbers.pages);
    CHECK(is_valid_utf8(text));
    std::remove(file);
}

EDDY_TEST("no more requests at a time to a host than allowed") {
    web w;
    std::string links;
    for (int i = 0; i < 20; ++i) {
        w.pages["/" + std::to_string(i)] = page("", 50);
        links += std::to_string(i) + ' ';
    }
    w.pages["/"] = page(links);
    co_await w.start();
    options o = quick();
    o.per_host = 3;
    result r = co_await crawl_one(o, w.url());
    CHECK(r.numbers.pages == 21);
    CHECK(w.most_active == 3);

    w.most_active = 0;
    o = quick();
    o.concurrency = 5;
    r = co_await crawl_one(o, w.url());
    CHECK(r.numbers.pages == 21);
    CHECK(w.most_active == 5);
    co_await w.stop();
}

EDDY_TEST("requests are spread over time if a rate is given") {
    web w;
    w.pages["/"] = page("1 2 3 4 5 6 7 8 9 10");
    co_await w.start();
    options o = quick();
    o.rate = 5;
    const auto start = eddy::loop_clock::now();
    const result r = co_await crawl_one(o, w.url());
    CHECK(r.numbers.pages == 11);
    CHECK(eddy::loop_clock::now() - start >= 2s);
    CHECK(eddy::loop_clock::now() - start < 3s);
    co_await w.stop();
}

EDDY_TEST("what may pass is tried again, with pauses, as often as allowed") {
    web w;
    w.pages["/"] = page("twice often");
    w.pages["/twice"] = site_page{.failures = 2};
    w.pages["/often"] = site_page{.failures = 9};
    co_await w.start();
    const auto start = eddy::loop_clock::now();
    const result r = co_await crawl_one(quick(), w.url());
    CHECK(w.asked["/twice"] == 3);
    CHECK(w.asked["/often"] == 3);
    CHECK(r.numbers.by_status == std::map<int, std::size_t>{{200, 2}, {503, 1}});
    CHECK(r.numbers.further_tries == 4);
    CHECK(eddy::loop_clock::now() - start >= 750ms); // at least half of 500 ms and half of 1 s
    co_await w.stop();
}

EDDY_TEST("a 404 is final, and a page that hangs takes its time") {
    web w;
    w.pages["/"] = page("missing hanging");
    w.pages["/hanging"] = site_page{.how = manner::hanging};
    co_await w.start();
    const auto start = eddy::loop_clock::now();
    const result r = co_await crawl_one(quick(), w.url());
    CHECK(w.asked["/missing"] == 1);
    CHECK(w.asked["/hanging"] == 3);
    CHECK(r.numbers.errors == std::map<std::string, std::size_t>{{"timeout", 1}});
    CHECK(eddy::loop_clock::now() - start >= 3s);
    CHECK(r.failed == 0);
    co_await w.stop();
}

EDDY_TEST("robots.txt is asked for once, and followed") {
    web w;
    w.pages["/robots.txt"] =
        site_page{.content_type = "text/plain", .body = "User-agent: eddy-scraper\nDisallow: /no\n", .delay_ms = 50};
    w.pages["/"] = page("yes no/1 no/2");
    w.pages["/yes"] = page("");
    co_await w.start();
    std::vector<std::string> start{w.url(), w.url("/yes"), w.url("/no/3")};
    const result r = co_await crawl(quick(), std::move(start));
    CHECK(w.asked == std::map<std::string, int>{{"/", 1}, {"/robots.txt", 1}, {"/yes", 1}});
    CHECK(r.numbers.disallowed == 3);
    CHECK(r.failed == 1); // the given one
    co_await w.stop();
}

EDDY_TEST("a robots.txt that fails closes the site") {
    web w;
    w.pages["/robots.txt"] = site_page{.status = 500};
    w.pages["/"] = page("");
    co_await w.start();
    const result r = co_await crawl_one(quick(), w.url());
    CHECK(w.asked == std::map<std::string, int>{{"/robots.txt", 1}});
    CHECK(r.numbers.errors == std::map<std::string, std::size_t>{{"no robots.txt", 1}});
    CHECK(r.failed == 1);
    co_await w.stop();
}

EDDY_TEST("a robots.txt that is elsewhere is looked for there") {
    web w;
    w.pages["/robots.txt"] = site_page{.status = 301, .location = "/other.txt"};
    w.pages["/other.txt"] = site_page{.content_type = "text/plain", .body = "User-agent: *\nDisallow: /x\n"};
    w.pages["/"] = page("x");
    co_await w.start();
    const result r = co_await crawl_one(quick(), w.url());
    CHECK(r.numbers.pages == 1);
    CHECK(r.numbers.disallowed == 1);
    co_await w.stop();
}

EDDY_TEST("links are followed as deep as allowed") {
    web w;
    w.pages["/"] = page("1");
    w.pages["/1"] = page("2");
    w.pages["/2"] = page("3");
    w.pages["/3"] = page("4");
    co_await w.start();
    options o = quick();
    o.depth = 2;
    result r = co_await crawl_one(o, w.url());
    CHECK(r.numbers.pages == 3);
    o.depth = 0;
    r = co_await crawl_one(o, w.url());
    CHECK(r.numbers.pages == 1);
    co_await w.stop();
}

EDDY_TEST("other hosts are left alone if asked for, and links marked nofollow always") {
    web w;
    co_await w.start();
    std::string other = w.url("/other");
    other.replace(other.find("127.0.0.1"), 9, "localhost");
    w.pages["/"] = page("1 " + other);
    w.pages["/"].body += "<a rel=nofollow href=2>x</a>";
    w.pages["/1"] = page("");
    w.pages["/other"] = page("");
    options o = quick();
    o.same_host = true;
    result r = co_await crawl_one(o, w.url());
    CHECK(r.numbers.pages == 2);
    CHECK(r.numbers.elsewhere == 1);
    CHECK(r.numbers.nofollow == 1);
    r = co_await crawl_one(quick(), w.url());
    CHECK(r.numbers.pages == 3);
    CHECK(w.asked["/other"] == 1);
    CHECK(w.asked["/2"] == 0);
    co_await w.stop();
}

EDDY_TEST("a given address that redirects stands for where it leads") {
    web w;
    w.pages["/good"] = site_page{.status = 301, .location = "/"};
    w.pages["/"] = page("");
    w.pages["/bad"] = site_page{.status = 301, .location = "/missing"};
    w.pages["/loop"] = site_page{.status = 302, .location = "/loop"};
    co_await w.start();
    result r = co_await crawl_one(quick(), w.url("/good"));
    CHECK(r.failed == 0);
    CHECK(r.numbers.by_status == std::map<int, std::size_t>{{200, 1}, {301, 1}});
    r = co_await crawl_one(quick(), w.url("/bad"));
    CHECK(r.failed == 1);
    r = co_await crawl_one(quick(), w.url("/loop"));
    CHECK(r.failed == 1);
    CHECK(r.numbers.errors == std::map<std::string, std::size_t>{{"redirect loop", 1}});
    co_await w.stop();
}

EDDY_TEST("a redirect loop is one, whichever of its pages were found first") {
    for (const std::string first : {"/a", "/b", "/c"}) {
        web w;
        w.pages["/a"] = site_page{.status = 302, .location = "/b"};
        w.pages["/b"] = site_page{.status = 302, .location = "/c"};
        w.pages["/c"] = site_page{.status = 302, .location = "/a"};
        co_await w.start();
        std::vector<std::string> start{w.url(first), w.url("/b"), w.url("/c")};
        const result r = co_await crawl(quick(), std::move(start));
        CHECK(r.numbers.errors == std::map<std::string, std::size_t>{{"redirect loop", 1}});
        CHECK(r.numbers.by_status == std::map<int, std::size_t>{{302, 3}});
        co_await w.stop();
    }
}

EDDY_TEST("a host that refuses does not keep the others from being fetched") {
    web w;
    w.pages["/"] = page("1");
    w.pages["/1"] = page("");
    co_await w.start();
    std::vector<std::string> start{"http://127.0.0.1:1/x", w.url()};
    const result r = co_await crawl(quick(), std::move(start));
    CHECK(r.failed == 1);
    CHECK(r.numbers.by_status == std::map<int, std::size_t>{{200, 2}});
    CHECK(r.numbers.errors == std::map<std::string, std::size_t>{{"refused", 1}});
    co_await w.stop();
}

EDDY_TEST("interrupted: waiting pages are dropped, running ones finish") {
    web w;
    w.pages["/"] = page("slow waiting");
    w.pages["/slow"] = page("further", 500);
    w.pages["/waiting"] = page("");
    co_await w.start();
    options o = quick();
    o.per_host = 1;
    auto crawling = eddy::spawn(crawl_one(o, w.url()));
    while (w.asked["/slow"] == 0) co_await eddy::sleep_for(10ms);
    crawling.cancel();
    const result r = co_await std::move(crawling);
    CHECK(r.cancelled);
    CHECK(r.numbers.pages == 2);
    CHECK(r.numbers.dropped == 1);
    CHECK(w.asked["/waiting"] == 0);
    CHECK(w.asked["/further"] == 0);
    co_await w.stop();
}

EDDY_TEST("interrupted: what takes longer than the grace period is dropped at its end") {
    web w;
    w.pages["/"] = site_page{.how = manner::hanging};
    co_await w.start();
    options o = quick();
    o.timeout = 60s;
    auto crawling = eddy::spawn(crawl_one(o, w.url()));
    while (w.asked["/"] == 0) co_await eddy::sleep_for(10ms);
    const auto start = eddy::loop_clock::now();
    crawling.cancel();
    const result r = co_await std::move(crawling);
    const auto took = eddy::loop_clock::now() - start;
    CHECK(r.cancelled);
    CHECK(r.numbers.dropped == 1);
    CHECK(took >= crawler::grace);
    CHECK(took < crawler::grace + 500ms);
    co_await w.stop();
}

EDDY_TEST("an output that cannot be written ends the crawl at once") {
    web w;
    w.pages["/"] = page("hanging 1 2 3");
    w.pages["/hanging"] = site_page{.how = manner::hanging};
    co_await w.start();
    options o = quick();
    o.timeout = 60s;
    const auto start = eddy::loop_clock::now();
    std::string message;
    try {
        std::vector<std::string> addresses(1, w.url());
        const result r = co_await crawl(o, std::move(addresses), "/dev/full");
    } catch (const eddy::exception_group& e) {
        e.for_each<output_error>([&](const output_error& x) { message += x.what(); });
    }
    CHECK(message == "cannot write to /dev/full: No space left on device");
    CHECK(eddy::loop_clock::now() - start < 2s);
    co_await w.stop();
}

TEST_CASE("pauses grow, up to a limit, and have some chance in them") {
    backoff b(100ms);
    for (int i = 0; i < 50; ++i) {
        CHECK(b.delay(1) >= 50ms);
        CHECK(b.delay(1) <= 100ms);
        CHECK(b.delay(4) >= 400ms);
        CHECK(b.delay(4) <= 800ms);
        CHECK(b.delay(100) <= 30s);
    }
    CHECK(b.delay(1, 5s) == 5s);
    CHECK(b.delay(1, 1h) == 30s);
}
