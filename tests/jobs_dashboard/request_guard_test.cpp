#include "request_guard.hpp"

#include <initializer_list>
#include <utility>

#include "catch.hpp"

using jobs_dashboard::request_guard;

namespace {

using field = std::pair<const char*, const char*>;

bool answers(const char* method, const std::initializer_list<field>& fields) {
    const request_guard guard({"jobs.example"});
    eddy::http::request q;
    q.method = method;
    for (const auto& [name, value] : fields) q.headers.add(name, value);
    return !guard.refuse(q);
}

} // namespace

TEST_CASE("a page is for those who know this host by an address, or by a name it was given") {
    for (const char* host : {"127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "10.0.0.7", "jobs.example", "Jobs.Example:443"})
        CHECK(answers("GET", {{"Host", host}}));
    for (const char* host : {"evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost.evil.example:80"}) CHECK_FALSE(answers("GET", {{"Host", host}}));
    CHECK_FALSE(answers("GET", {}));
}

TEST_CASE("what changes something must come from this page, or from no page at all") {
    const field host{"Host", "localhost:8080"}, ours{"X-Dashboard", "1"};
    CHECK(answers("POST", {host, ours}));
    CHECK(answers("POST", {host, ours, {"Origin", "http://localhost:8080"}, {"Sec-Fetch-Site", "same-origin"}}));
    CHECK(answers("POST", {host, ours, {"Origin", "https://localhost:8080"}}));
    CHECK_FALSE(answers("POST", {host}));
    CHECK_FALSE(answers("POST", {host, {"X-Dashboard", "0"}}));
    CHECK_FALSE(answers("POST", {host, ours, {"Origin", "http://localhost:8081"}}));
    CHECK_FALSE(answers("POST", {host, ours, {"Origin", "http://evil.example"}}));
    CHECK_FALSE(answers("POST", {host, ours, {"Origin", "null"}}));
    CHECK_FALSE(answers("POST", {host, ours, {"Sec-Fetch-Site", "cross-site"}}));
    CHECK_FALSE(answers("POST", {host, ours, {"Sec-Fetch-Site", "same-site"}}));
    CHECK_FALSE(answers("POST", {{"Host", "evil.example"}, ours, {"Origin", "http://evil.example"}}));
}
