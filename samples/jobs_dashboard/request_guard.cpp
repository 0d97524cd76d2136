#include "request_guard.hpp"

#include <algorithm>
#include <cctype>
#include <exception>
#include <string_view>

#include <eddy/endpoint.hpp>

namespace jobs_dashboard {

namespace {

std::string lower(std::string_view text) {
    std::string s(text);
    std::ranges::transform(s, s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return s;
}

/// "[::1]:80" -> "::1", "localhost:80" -> "localhost".
std::string without_port(std::string_view host) {
    if (host.starts_with('[')) {
        const auto end = host.find(']');
        return end == host.npos ? std::string() : std::string(host.substr(1, end - 1));
    }
    return lower(host.substr(0, host.find(':')));
}

bool is_address(const std::string& text) {
    if (text.empty()) return false;
    try {
        static_cast<void>(eddy::ip_endpoint(text, 0));
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

} // namespace

bool request_guard::is_our_host(const std::string& host) const {
    const std::string name = without_port(host);
    if (name == "localhost" || is_address(name)) return true;
    return std::ranges::any_of(names_, [&](const std::string& n) { return lower(n) == name; });
}

std::optional<std::string> request_guard::refuse(const eddy::http::request& q) const {
    const std::string& host = q.header("Host");
    if (!is_our_host(host)) return "this host is not known here; --host NAME makes it so";
    if (q.method == "GET" || q.method == "HEAD") return std::nullopt;
    if (q.header("X-Dashboard") != "1") return "the header X-Dashboard: 1 is missing";
    const std::string& origin = q.header("Origin");
    if (!origin.empty() && lower(origin) != "http://" + lower(host) && lower(origin) != "https://" + lower(host)) return "the request comes from another origin";
    const std::string& site = q.header("Sec-Fetch-Site");
    if (!site.empty() && site != "same-origin") return "the request comes from another site";
    return std::nullopt;
}

} // namespace jobs_dashboard
