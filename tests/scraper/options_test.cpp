#include "options.hpp"

#include "catch.hpp"

using namespace scraper;
using namespace std::chrono_literals;

namespace {

template <class... Words>
options options_of(Words... words) {
    const std::vector<const char*> arguments{words...};
    return parse_options(arguments);
}

template <class... Words>
std::string complaint_about(Words... words) {
    try {
        static_cast<void>(options_of(words...));
        return "accepted";
    } catch (const usage_error& e) {
        return e.what();
    }
}

} // namespace

TEST_CASE("without a URL it is the demo, with its own delays") {
    const options o = options_of();
    CHECK(o.demo);
    CHECK(o.timeout == 1500ms);
    CHECK(o.per_host == 24);
    CHECK(options_of("--demo").demo);
    CHECK(options_of("--timeout", "3").timeout == 3s);
}

TEST_CASE("with a URL it is not") {
    const options o = options_of("http://a/", "http://b/");
    CHECK_FALSE(o.demo);
    CHECK(o.urls == std::vector<std::string>{"http://a/", "http://b/"});
    CHECK(o.timeout == 10s);
    CHECK(o.per_host == 8);
    CHECK(o.retries == 2);
    CHECK_FALSE(o.out);
    CHECK_FALSE(o.rate);
}

TEST_CASE("every option is read, in both forms") {
    const options o = options_of("--out", "f", "--concurrency=7", "--per-host", "3", "u", "--depth=0", "--timeout", "0.25",
                            "--retries=0", "--same-host", "--rate", "12.5");
    CHECK(*o.out == "f");
    CHECK(o.concurrency == 7);
    CHECK(o.per_host == 3);
    CHECK(o.depth == 0);
    CHECK(o.timeout == 250ms);
    CHECK(o.retries == 0);
    CHECK(o.same_host);
    CHECK(*o.rate == 12.5);
    CHECK(o.urls == std::vector<std::string>{"u"});
}

TEST_CASE("behind -- everything is a URL") {
    CHECK(options_of("--", "--demo", "--out=x").urls == std::vector<std::string>{"--demo", "--out=x"});
}

TEST_CASE("what cannot be used is named") {
    CHECK(complaint_about("--frobnicate") == "there is no option --frobnicate");
    CHECK(complaint_about("-x") == "there is no option -x");
    CHECK(complaint_about("--out") == "--out needs a value");
    CHECK(complaint_about("--out=") == "--out needs a value that is not empty");
    CHECK(complaint_about("--same-host=yes") == "--same-host takes no value");
    CHECK(complaint_about("--same-host=yes", "u") == "--same-host takes no value");
    CHECK(complaint_about("--concurrency", "0") == "--concurrency: '0' is no whole number from 1 to 10000");
    CHECK(complaint_about("--concurrency", "4x").find("'4x'") != std::string::npos);
    CHECK(complaint_about("--retries", "-1").find("'-1'") != std::string::npos);
    CHECK(complaint_about("--depth", "99999999999").find("'99999999999'") != std::string::npos);
    CHECK(complaint_about("--timeout", "0").find("--timeout: '0' is no number") == 0);
    CHECK(complaint_about("--rate", "nan").find("'nan'") != std::string::npos);
    CHECK(complaint_about("--demo", "http://a/").find("--demo") == 0);
}

TEST_CASE("help is asked for") {
    CHECK(options_of("--help").help);
    CHECK(options_of("-h").help);
    CHECK(std::string(help_text()).find("--per-host N") != std::string::npos);
}
