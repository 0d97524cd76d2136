#include "fetcher.hpp"

#include <charconv>
#include <exception>
#include <system_error>

#include <eddy/loop_clock.hpp>

namespace scraper {
namespace {

using eddy::http::error_kind;

constexpr std::size_t body_limit = std::size_t{4} << 20U;

eddy::http::client_options client_options(const options& o) {
    eddy::http::client_options result;
    result.timeout = o.timeout;
    result.connect_timeout = o.timeout;
    result.max_body = body_limit;
    result.max_connections = 0; // the crawler has limits of its own
    result.max_idle_connections = static_cast<std::size_t>(o.concurrency);
    result.user_agent = "eddy-scraper/1.0";
    return result;
}

const char* kind_name(error_kind kind) {
    switch (kind) {
    case error_kind::bad_url:
        return "bad address";
    case error_kind::resolve:
        return "unresolvable";
    case error_kind::connect:
        return "no connection";
    case error_kind::tls:
        return "TLS";
    case error_kind::timeout:
        return "timeout";
    case error_kind::disconnected:
        return "disconnected";
    case error_kind::truncated:
        return "truncated";
    case error_kind::too_large:
        return "too large";
    case error_kind::too_many_redirects:
        return "too many redirects";
    case error_kind::protocol:
        return "bad HTTP";
    case error_kind::encoding:
        return "bad compression";
    case error_kind::bad_status:
        return "bad status";
    case error_kind::proxy:
        return "proxy";
    case error_kind::other:
        break;
    }
    return "other";
}

// The network has its moods; what a server says on purpose will not be different a second later.
bool may_pass(error_kind kind) {
    return kind == error_kind::connect || kind == error_kind::timeout || kind == error_kind::disconnected ||
           kind == error_kind::truncated;
}

bool may_pass(int status) {
    return status == 408 || status == 429 || status == 502 || status == 503 || status == 504;
}

failure to_failure(const eddy::http::error& e) {
    const bool refused = e.kind() == error_kind::connect && e.os_error() == std::errc::connection_refused;
    return failure{refused ? "refused" : kind_name(e.kind()), e.what()};
}

// "Retry-After: 5"; its other form, a date, is not worth the trouble.
std::chrono::milliseconds retry_after(const std::string& header) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), seconds);
    if (error != std::errc() || end != header.data() + header.size() || seconds < 0) return {};
    return std::chrono::seconds(seconds);
}

} // namespace

fetcher::fetcher(const options& o) : client_(client_options(o)) {}

eddy::task<fetch_result> fetcher::get(const url& address) {
    return request(address, 0);
}

eddy::task<fetch_result> fetcher::get_robots(const url& address) {
    return request(address, 5);
}

eddy::task<fetch_result> fetcher::request(const url& address, int redirects) {
    fetch_result result;
    const auto start = eddy::loop_clock::now();
    try {
        eddy::http::response answer = co_await client_.get(address.text, {.max_redirects = redirects});
        result.status = answer.status;
        result.content_type = answer.header("content-type");
        result.location = answer.header("location");
        result.retry_after = retry_after(answer.header("retry-after"));
        result.bytes = answer.bytes;
        result.body = std::move(answer.body);
        result.may_pass = may_pass(result.status);
    } catch (const eddy::http::error& e) {
        result.error = to_failure(e);
        result.may_pass = may_pass(e.kind());
    } catch (const std::system_error& e) { // of ours, not of the web: no descriptor, say
        result.error = failure{"no connection", address.text + ": " + e.what()};
        result.may_pass = true;
    }
    result.elapsed = std::chrono::duration_cast<std::chrono::microseconds>(eddy::loop_clock::now() - start);
    co_return result;
}

} // namespace scraper
