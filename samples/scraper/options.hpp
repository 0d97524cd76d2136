// The command line.
#pragma once

#include <chrono>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace scraper {

struct options {
    std::vector<std::string> urls;  // as given: what is no address is reported when the crawl starts, beside the others
    std::optional<std::string> out; // a path; "-" is standard output
    int concurrency = 32;           // requests at a time
    int per_host = 8;               // … to one host
    int depth = std::numeric_limits<int>::max(); // links to follow from a given page
    std::chrono::milliseconds timeout{10'000};   // a try
    int retries = 2;                             // … after the first try
    std::chrono::milliseconds first_retry_delay{500};
    bool same_host = false;
    std::optional<double> rate; // requests a second
    bool demo = false;          // scrape the embedded site
    bool help = false;
};

/// The command line cannot be used; the message says what is wrong with which word.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Reads the arguments, without the program's name. Without an address the demo is on; it has shorter delays of its
/// own, for whatever the arguments leave open. Throws `usage_error`.
[[nodiscard]] options parse_options(std::span<const char* const> arguments);

/// What --help prints.
[[nodiscard]] const char* help_text();

} // namespace scraper
