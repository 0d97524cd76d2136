#include "statistics.hpp"

#include <chrono>

#include <fmt/format.h>

namespace http_service {

void statistics::request::answered(int status) {
    const std::chrono::nanoseconds took = eddy::loop_clock::now() - since_;
    ++numbers_.by_status[status];
    numbers_.microseconds.add(static_cast<std::uint64_t>(std::chrono::floor<std::chrono::microseconds>(took).count()));
}

void statistics::write(metrics_page& page) const {
    page.family("http_responses_total", "counter", "Answers, by status; 0: there could be none.");
    for (const auto& [status, count] : responses_)
        page.sample("http_responses_total", fmt::format("status=\"{}\"", status), count);
    page.family("http_requests_total", "counter", "Answers of handlers, by route and status.");
    for (const auto& [pattern, numbers] : routes_)
        for (const auto& [status, count] : numbers.by_status)
            page.sample("http_requests_total", fmt::format("route=\"{}\",status=\"{}\"", pattern, status), count);
    page.family("http_request_duration_seconds", "histogram", "From the whole request to the answer, or its head, by route.");
    for (const auto& [pattern, numbers] : routes_)
        page.histogram("http_request_duration_seconds", fmt::format("route=\"{}\"", pattern), numbers.microseconds, 7, 24,
                       1e-6); // 127 µs to 16 s
    page.single("http_requests_in_flight", "gauge", "Requests that are being answered, this one included.", in_flight_);
}

} // namespace http_service
