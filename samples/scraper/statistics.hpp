// What the crawl has come to so far, in numbers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "record.hpp"

namespace scraper {

struct statistics {
    std::size_t pages = 0; // lines of output
    std::map<int, std::size_t> by_status;
    std::size_t unanswered = 0;
    std::map<std::string, std::size_t> errors; // by kind
    std::uint64_t bytes = 0;
    std::vector<std::chrono::microseconds> latencies; // of complete answers
    std::size_t further_tries = 0;
    std::size_t disallowed = 0; // pages that a robots.txt keeps us from
    std::size_t nofollow = 0;   // links whose page asks not to follow them
    std::size_t elsewhere = 0;  // links that --same-host keeps us from
    std::size_t unfinished = 0; // pages that wait or are being fetched
    std::size_t running = 0;    // … the latter
    std::size_t dropped = 0;    // pages that were not fetched, or not to the end, because of an interruption

    void add(const page_record& r);
    [[nodiscard]] std::size_t error_count() const;
};

/// The value that a share of p of the samples do not exceed; zero without samples. Changes their order.
[[nodiscard]] std::chrono::microseconds percentile(std::vector<std::chrono::microseconds>& samples, double p);

} // namespace scraper
