// cookie: what a server has asked its clients to send back. `client::cookies`, `set_cookie`, `load_cookies`, `save_cookies`.
//
//     http::client hc{{.cookies = true}};
//     hc.set_cookie({.name = "session", .value = "abc", .domain = "example.org", .secure = true});
//     for (const http::cookie& c : hc.cookies()) std::printf("%s=%s\n", c.name.c_str(), c.value.c_str());
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace eddy::http {

/// A cookie of a client (RFC 6265). An aggregate that owns something: give it a name before it is part of an expression with
/// `co_await` (docs/compilers.md, T1).
struct cookie {
    std::string name = {};
    std::string value = {};
    std::string domain = {}; // the host, without a dot before it
    std::string path = "/";  // of the requests that it goes with, and what is below
    bool subdomains = false; // goes to all hosts below `domain` too
    bool secure = false;     // goes over TLS only
    bool http_only = false;  // scripts in a browser do not see it
    std::optional<std::chrono::sys_seconds> expires = {}; // none: at the end of the session, which is that of the client

    friend bool operator==(const cookie&, const cookie&) = default;
};

} // namespace eddy::http
