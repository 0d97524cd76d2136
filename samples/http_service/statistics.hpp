// What the service counts of its own work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include <eddy/event_loop.hpp>
#include <eddy/histogram.hpp>

#include "metrics_page.hpp"

namespace http_service {

/// All of it on one thread, so that it needs no lock.
class statistics {
public:
    class request;

    /// A response, by status; 0: there could be none.
    void responded(int status) { ++responses_[status]; }
    /// The families of responses and requests.
    void write(metrics_page& page) const;

private:
    struct route_numbers {
        std::map<int, std::uint64_t> by_status;
        eddy::histogram microseconds;
    };
    std::map<int, std::uint64_t> responses_;
    std::map<std::string_view, route_numbers> routes_;
    std::size_t in_flight_ = 0;
};

/// A request that is being answered, until it is destroyed.
class statistics::request {
public:
    /// By route, not by path: the number of series must not depend on what clients ask for. `pattern` has to stay.
    request(statistics& s, std::string_view pattern) : statistics_(s), numbers_(s.routes_[pattern]) { ++s.in_flight_; }
    request(const request&) = delete;
    request& operator=(const request&) = delete;
    ~request() { --statistics_.in_flight_; }
    /// The handler is done with it.
    void answered(int status);

private:
    statistics& statistics_;
    route_numbers& numbers_;
    const eddy::loop_clock::time_point since_ = eddy::loop_clock::now();
};

} // namespace http_service
