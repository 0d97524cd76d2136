// What is known about a page in the end: a line of the output.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "fetcher.hpp"
#include "page.hpp"

namespace scraper {

struct page_record {
    std::string address;
    int depth = 0; // links from a given address
    int tries = 1;
    int status = 0;                       // 0: no answer
    std::optional<failure> error{};       // no answer, or a redirect that leads nowhere
    std::chrono::microseconds elapsed{0}; // of the last try; 0 if its site could not even be asked for its robots.txt
    std::uint64_t bytes = 0;
    std::string content_type{};
    std::string location{};                // of a redirect, absolute
    std::optional<page_content> content{}; // of an HTML page
};

/// The record as an object of JSON, with a line break at its end and none inside.
[[nodiscard]] std::string to_json_line(const page_record& r);

} // namespace scraper
