#include "options.hpp"

#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace scraper {
namespace {

using std::chrono::milliseconds;

// The arguments one after the other; an option's value is the next one, or stands behind an equals sign.
class argument_reader {
public:
    explicit argument_reader(std::span<const char* const> arguments) : left_(arguments) {}

    // Steps to the next word; if `verbatim`, that is an address even if it looks like an option.
    bool next(bool verbatim) {
        if (inline_value_) throw usage_error(fmt::format("{} takes no value", name_));
        if (left_.empty()) return false;
        const std::string_view word = left_.front();
        left_ = left_.subspan(1);
        const bool is_option = !verbatim && word.starts_with("--");
        const auto equals = is_option ? word.find('=') : std::string_view::npos;
        name_ = word.substr(0, equals);
        if (equals != std::string_view::npos) inline_value_ = word.substr(equals + 1);
        return true;
    }
    [[nodiscard]] std::string_view name() const { return name_; }

    std::string_view value() {
        std::string_view text;
        if (inline_value_) {
            text = *inline_value_;
            inline_value_.reset();
        } else if (!left_.empty()) {
            text = left_.front();
            left_ = left_.subspan(1);
        } else {
            throw usage_error(fmt::format("{} needs a value", name_));
        }
        if (text.empty()) throw usage_error(fmt::format("{} needs a value that is not empty", name_));
        return text;
    }

    int whole_number(int least, int most) {
        const std::string_view text = value();
        int number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
            throw usage_error(fmt::format("{}: '{}' is no whole number from {} to {}", name_, text, least, most));
        return number;
    }

    double number(double least, double most) {
        const std::string_view text = value();
        double number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool read = error == std::errc() && end == text.data() + text.size();
        if (!read || !std::isfinite(number) || number < least || number > most)
            throw usage_error(fmt::format("{}: '{}' is no number from {} to {}", name_, text, least, most));
        return number;
    }

private:
    std::span<const char* const> left_;
    std::string_view name_;
    std::optional<std::string_view> inline_value_;
};

// What has other defaults in the demo, so that they are known only when all has been read.
struct given_values {
    std::optional<int> per_host;
    std::optional<milliseconds> timeout;
};

milliseconds as_milliseconds(double seconds) {
    return milliseconds(std::llround(seconds * 1000));
}

// The demo's site is on one host, on this machine, and some of its pages never answer: so delays are short there.
void apply_defaults(options& o, const given_values& given) {
    o.per_host = given.per_host.value_or(o.demo ? 24 : 8);
    o.timeout = given.timeout.value_or(milliseconds(o.demo ? 1500 : 10'000));
    o.first_retry_delay = milliseconds(o.demo ? 100 : 500);
}

} // namespace

options parse_options(std::span<const char* const> arguments) {
    options o;
    given_values given;
    argument_reader reader(arguments);
    bool only_urls = false; // after --
    while (reader.next(only_urls)) {
        const std::string_view name = reader.name();
        if (only_urls || !name.starts_with('-'))
            o.urls.emplace_back(name);
        else if (name == "--")
            only_urls = true;
        else if (name == "--out")
            o.out = reader.value();
        else if (name == "--concurrency")
            o.concurrency = reader.whole_number(1, 10'000);
        else if (name == "--per-host")
            given.per_host = reader.whole_number(1, 10'000);
        else if (name == "--depth")
            o.depth = reader.whole_number(0, std::numeric_limits<int>::max());
        else if (name == "--timeout")
            given.timeout = as_milliseconds(reader.number(0.001, 86'400));
        else if (name == "--retries")
            o.retries = reader.whole_number(0, 100);
        else if (name == "--rate")
            o.rate = reader.number(0.001, 1e6);
        else if (name == "--same-host")
            o.same_host = true;
        else if (name == "--demo")
            o.demo = true;
        else if (name == "--help" || name == "-h")
            o.help = true;
        else
            throw usage_error(fmt::format("there is no option {}", name));
    }
    if (o.demo && !o.urls.empty()) throw usage_error("--demo scrapes the embedded site; it takes no address beside it");
    if (o.urls.empty()) o.demo = true;
    apply_defaults(o, given);
    return o;
}

const char* help_text() {
    return R"(usage: scraper [URL...] [OPTION...]

Fetches the pages at the URLs and all they link to, as far as robots.txt allows, and writes one line of JSON a page: its
address, status, title, text statistics and links, or what went wrong. Without a URL it serves itself a site of a few
hundred pages, some of them nasty, and scrapes that.

  --out FILE       write the pages to FILE ("-": standard output). Without it they go to standard output, unless that
                   is a terminal
  --concurrency N  requests at a time (32)
  --per-host N     requests at a time to one host (8; demo: 24)
  --depth N        follow links at most N away from a given URL (no limit)
  --timeout S      seconds that one try may take (10; demo: 1.5)
  --retries N      further tries after a failure that may pass: no answer, 429, 502, 503, 504 (2)
  --same-host      follow only links to the hosts of the given URLs
  --rate R         at most R requests a second
  --demo           scrape the embedded site, as without a URL
  --help           this text

At the end it prints a table: on standard output, or on standard error if the pages went to standard output (in the demo
always on standard output). Ctrl-C ends the crawl in good order: what is being fetched is finished, within 3 seconds.
Pressed twice, it ends at once.

Exit status: 0 if all given URLs could be fetched, 1 if one of them failed or the output could not be written, 2 if the
command line is wrong, 128 + N after signal N (130 after Ctrl-C). Pages found on the way may fail; the table counts them.
)";
}

} // namespace scraper
