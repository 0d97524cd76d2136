#include "record.hpp"
#include "report.hpp"

#include "catch.hpp"

using namespace scraper;
using namespace std::chrono_literals;

TEST_CASE("the table starts with how many pages there were and how long they took") {
    statistics n;
    n.add(page_record{.address = "http://h/", .status = 200, .elapsed = 5ms, .bytes = 1234});
    n.add(page_record{.address = "http://h/x", .error = failure{"timeout", "…"}});
    n.further_tries = 2;
    CHECK(summary(n, 2s, {1ms, 2ms}) == "2 pages in 2.0 s\n"
                                        "  pages/s                              1.0\n"
                                        "  bytes                             1234 B\n"
                                        "  latency p50                       5.0 ms\n"
                                        "  latency p95                       5.0 ms\n"
                                        "  loop lag p99                      2.0 ms\n"
                                        "  loop lag max                      2.0 ms\n"
                                        "pages by status\n"
                                        "  200                                    1\n"
                                        "  no answer                              1\n"
                                        "errors by kind\n"
                                        "  timeout                                1\n"
                                        "besides\n"
                                        "  further tries                          2\n");
}

TEST_CASE("a table of nothing") {
    CHECK(summary(statistics(), 0s, {}).find("0 pages in 0.0 s\n") == 0);
}

TEST_CASE("percentiles") {
    std::vector<std::chrono::microseconds> samples;
    for (int i = 100; i > 0; --i) samples.emplace_back(i);
    CHECK(percentile(samples, 0.5) == 50us);
    CHECK(percentile(samples, 0.95) == 95us);
    CHECK(percentile(samples, 1.0) == 100us);
    CHECK(percentile(samples, 0.0) == 1us);
    samples.clear();
    CHECK(percentile(samples, 0.5) == 0us);
}

TEST_CASE("a page is a line of JSON") {
    page_record r{.address = "http://h/",
                  .depth = 1,
                  .tries = 2,
                  .status = 200,
                  .elapsed = 1500us,
                  .bytes = 10,
                  .content_type = "text/html"};
    r.content = page_content{.title = "a \"b\"\n", .charset = "utf-8", .text = {.characters = 3, .words = 1}};
    r.content->links.push_back(page_link{parse_url("http://h/1"), false});
    r.content->links.push_back(page_link{parse_url("http://h/2"), true});
    CHECK(
        to_json_line(r) ==
        R"({"url":"http://h/","status":200,"depth":1,"tries":2,"ms":1.5,"bytes":10,"type":"text/html","charset":"utf-8",)"
        R"("title":"a \"b\"\n","characters":3,"words":1,"links":["http://h/1"],"nofollow":["http://h/2"]})"
        "\n");
    const page_record lost{.address = "http://h/", .error = failure{"timeout", "too late"}, .elapsed = 1ms};
    CHECK(to_json_line(lost) ==
          R"({"url":"http://h/","error":"timeout","message":"too late","depth":0,"tries":1,"ms":1.0})"
          "\n");
}
