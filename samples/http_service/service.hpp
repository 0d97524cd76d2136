// The routes and their handlers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <eddy/capacity_limiter.hpp>
#include <eddy/http/body_reader.hpp>
#include <eddy/http/message.hpp>
#include <eddy/http/router.hpp>
#include <eddy/http/server.hpp>
#include <eddy/http/static_files.hpp>
#include <eddy/task.hpp>
#include <eddy/tcp.hpp>

#include "log_writer.hpp"
#include "options.hpp"
#include "statistics.hpp"

namespace http_service {

namespace http = eddy::http;

/// Each request is a task of its own, or rather its connection's; all run on one thread, so what they share needs no lock.
class service {
public:
    service(log_writer& log, const options& o);

    eddy::task<> listen(eddy::ip_endpoint where) { return server_.listen(where); }
    [[nodiscard]] std::uint16_t port() const noexcept { return server_.port(); }
    /// From now on /healthz says so.
    void begin_to_end() noexcept { ending_ = true; }
    eddy::task<> shutdown(std::chrono::nanoseconds grace) { return server_.shutdown(grace); }

private:
    using answer = eddy::task<http::response>;
    using handler = answer (service::*)(const http::request&);

    http::router routes(const options& o);
    void add(http::router& r, std::string_view method, std::string_view pattern, handler h);
    answer timed(std::string_view pattern, handler h, const http::request& q);

    answer index(const http::request& q);
    answer hello(const http::request& q);
    answer get_note(const http::request& q);
    answer put_note(const http::request& q, http::body_reader& body);
    answer primes(const http::request& q);
    answer bytes(const http::request& q);
    answer files(const http::request& q) { return files_(q); }
    answer healthz(const http::request& q);
    answer metrics(const http::request& q);

    log_writer& log_;
    http::static_files files_;
    std::vector<std::string> names_; // of the routes
    statistics statistics_;
    std::map<std::string, std::string> notes_;
    eddy::capacity_limiter computing_{static_cast<std::ptrdiff_t>(std::max(1U, std::thread::hardware_concurrency()))};
    bool ending_ = false;
    http::server server_; // last: what its handlers use outlives it
};

} // namespace http_service
