#include "service.hpp"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include <eddy/event_loop.hpp>
#include <eddy/http/access_log.hpp>
#include <eddy/offload.hpp>

#include "../number.hpp"
#include "generated_bytes.hpp"
#include "json.hpp"
#include "metrics_page.hpp"
#include "primes.hpp"
#include "tls.hpp"

namespace http_service {

using samples::to_number;

service::service(log_writer& log, const options& o) : log_(log), files_(o.files.empty() ? "." : o.files), server_(routes(o)) {
    if (o.tls) speak_tls(server_, *o.tls, o.client_authorities);
    server_.on_access([this](const http::access_record& r) {
        statistics_.responded(r.status);
        log_.add(http::common_log_line(r) + "\n");
    });
}

http::router service::routes(const options& o) {
    http::router r;
    add(r, "GET", "/", &service::index);
    add(r, "GET", "/hello/{name}", &service::hello);
    add(r, "GET", "/notes/{key}", &service::get_note);
    r.put("/notes/{key}", [this](const http::request& q, http::body_reader& body) { return put_note(q, body); });
    names_.emplace_back("PUT /notes/{key}");
    add(r, "GET", "/primes/{n}", &service::primes);
    add(r, "GET", "/bytes/{n}", &service::bytes);
    if (!o.files.empty()) add(r, "GET", "/files/{path...}", &service::files);
    add(r, "GET", "/metrics", &service::metrics);
    add(r, "GET", "/healthz", &service::healthz);
    r.otherwise([](const http::request&) -> answer { co_return json_error(404, "there is no such thing here; see /"); });
    return r;
}

void service::add(http::router& r, std::string_view method, std::string_view pattern, handler h) {
    r.add(method, pattern, [this, pattern, h](const http::request& q) { return timed(pattern, h, q); });
    names_.push_back(fmt::format("{} {}", method, pattern));
}

service::answer service::timed(std::string_view pattern, handler h, const http::request& q) {
    statistics::request counted(statistics_, pattern);
    answer making = (this->*h)(q);
    http::response r = co_await std::move(making);
    counted.answered(r.status);
    co_return r;
}

service::answer service::index(const http::request&) {
    std::string list;
    for (const std::string& name : names_) list += (list.empty() ? "" : ",") + in_quotes(name);
    co_return json(200, "{\"routes\":[" + list + "]}");
}

service::answer service::hello(const http::request& q) {
    co_return json(200, "{\"hello\":" + in_quotes(q.path_parameter("name")) + "}");
}

service::answer service::get_note(const http::request& q) {
    const auto found = notes_.find(q.path_parameter("key"));
    if (found == notes_.end()) co_return json_error(404, "no such note");
    co_return json(200, "{\"note\":" + in_quotes(found->second) + "}");
}

// Asked before the body is there: who may not put a note need not send it, and 413 comes by itself.
service::answer service::put_note(const http::request& q, http::body_reader& body) {
    const std::string& key = q.path_parameter("key");
    if (notes_.size() >= 1000 && !notes_.contains(key)) co_return json_error(507, "there are 1000 notes already");
    std::string note = co_await body.read_all(64 * 1024);
    const bool created = notes_.insert_or_assign(key, std::move(note)).second;
    co_return http::response(created ? 201 : 204);
}

// As many at a time as there are cores, and not many more may wait: who comes later is told at once, and the rest
// goes on.
service::answer service::primes(const http::request& q) {
    const std::optional<std::uint32_t> below = to_number<std::uint32_t>(q.path_parameter("n"));
    if (!below || *below > 10'000'000) co_return json_error(400, "a number up to 10000000 is wanted");
    if (computing_.waiting() >= 100) co_return json_error(503, "busy").set("Retry-After", "1");
    const std::uint64_t count = co_await eddy::offload(computing_, count_primes, *below);
    co_return json(200, fmt::format("{{\"below\":{},\"primes\":{}}}", *below, count));
}

service::answer service::bytes(const http::request& q) {
    const std::optional<std::uint64_t> size = to_number<std::uint64_t>(q.path_parameter("n"));
    if (!size || *size > (std::uint64_t{1} << 40U)) co_return json_error(400, "a number up to 2^40 is wanted");
    co_return generated_bytes(q, *size);
}

service::answer service::healthz(const http::request&) {
    if (ending_) co_return json(503, R"({"status":"ending"})");
    co_return json(200, R"({"status":"ok"})");
}

service::answer service::metrics(const http::request&) {
    metrics_page page;
    statistics_.write(page);
    page.single("http_connections", "gauge", "Connections that are open.", server_.connections());
    page.single("access_log_dropped_lines_total", "counter", "Lines that could not be written in time.", log_.dropped());
    write_loop_metrics(page, eddy::this_loop().stats());
    co_return http::response(200, std::move(page).take(), metrics_page::content_type);
}

} // namespace http_service
