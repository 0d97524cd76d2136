// scraper: fetches web pages and all they link to, and writes a line of JSON for each.
//
// This file puts the parts together. Read on in crawler.hpp, which is the heart of it; url, robots, charset, page, json
// and frontier are plain functions and classes that know nothing of coroutines.
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <eddy/cancel_scope.hpp>
#include <eddy/run.hpp>
#include <eddy/task_group.hpp>

#include "crawler.hpp"
#include "lag_meter.hpp"
#include "options.hpp"
#include "output.hpp"
#include "report.hpp"
#include "site.hpp"

namespace {

using namespace scraper;

constexpr std::uint32_t demo_seed = 1;

// Where the pages go if the user does not say: a terminal is for the progress line and the table.
std::string output_path(const options& o) {
    if (o.out) return *o.out;
    return isatty(STDOUT_FILENO) ? "" : "-";
}

// What is no address is reported, and the rest goes on.
std::vector<url> parse_urls(const std::vector<std::string>& texts, reporter& report, statistics& numbers) {
    std::vector<url> urls;
    for (const std::string& text : texts) {
        try {
            urls.push_back(parse_url(text));
        } catch (const url_error& e) {
            report.tell(e.what());
            ++numbers.errors["malformed address"];
        }
    }
    return urls;
}

void print_summary(const options& o, const std::string& path, const std::string& table) {
    const bool beside_pages = path == "-" && !o.demo;
    std::FILE* where = beside_pages ? stderr : stdout;
    fmt::print(where, "{}", table);
    if (path.empty()) fmt::print(where, "The pages themselves were not kept: that takes --out FILE.\n");
    if (o.demo)
        fmt::print(where,
                   "This was the embedded site, which fails on purpose in places: the errors belong there and do not\n"
                   "count for the exit status.\n");
    if (std::fflush(where) != 0) throw output_error(std::string("cannot write the table: ") + std::strerror(errno));
}

// The crawl with what goes on beside it.
eddy::task<> crawl(crawler& c, const std::vector<url>& start, reporter& report, lag_meter& lag) {
    co_await eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<> {
        g.spawn(lag.run());
        g.spawn(report.progress());
        co_await c.run(start);
        g.cancel("the crawl is over");
    });
}

// Returns the exit status. Cancelled, that is after Ctrl-C, it still puts everything in order, and then passes it on.
eddy::task<int> scrape(const options& o) {
    statistics numbers;
    lag_meter lag;
    const std::string path = output_path(o);
    reporter report(numbers, isatty(STDERR_FILENO) != 0);
    output out(path);
    co_await out.open();
    crawler c(o, out, report, numbers);

    std::optional<site> demo;
    std::vector<std::string> texts = o.urls;
    if (o.demo) {
        demo.emplace(demo_seed);
        co_await demo->start();
        texts.push_back(demo->address());
    }
    const std::vector<url> start = parse_urls(texts, report, numbers);

    std::exception_ptr ended_by; // there is no co_await in a handler, so the clearing up happens behind it
    try {
        co_await crawl(c, start, report, lag);
    } catch (...) {
        ended_by = std::current_exception();
    }
    co_await eddy::with_shield([&]() -> eddy::task<> {
        if (demo) co_await demo->stop();
        co_await out.close();
    });
    if (!out.failed()) print_summary(o, path, summary(numbers, report.elapsed(), lag.samples()));
    if (ended_by) std::rethrow_exception(ended_by);
    const bool all_fetched = start.size() == texts.size() && c.failed() == 0;
    co_return all_fetched ? 0 : 1;
}

int fail(const char* message) {
    fmt::print(stderr, "scraper: {}\n", message);
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const options o = parse_options(std::span<const char* const>(argv, static_cast<std::size_t>(argc)).subspan(1));
        if (o.help) {
            fmt::print("{}", help_text());
            return 0;
        }
        return eddy::run(scrape(o));
    } catch (const usage_error& e) {
        fmt::print(stderr, "scraper: {}\ntry: scraper --help\n", e.what());
        return 2;
    } catch (const eddy::interrupted& e) {
        return 128 + e.signal();
    } catch (const eddy::exception_group& e) {
        // The pages are tasks of a group, and so an error of one of them comes in a group, even if it is the only one.
        std::string message = e.what();
        e.for_each<output_error>([&](const output_error& x) { message = x.what(); });
        return fail(message.c_str());
    } catch (const std::exception& e) {
        return fail(e.what());
    }
}
