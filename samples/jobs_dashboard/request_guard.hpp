// Whom the dashboard answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <eddy/http/message.hpp>

namespace jobs_dashboard {

/// Protects somebody who looks at the dashboard from the other pages that are open in the same browser: such a page can send
/// requests to 127.0.0.1, too.
///
/// Every request: `Host` must be an address, "localhost" or one of `names`. A page that makes its own name point here (DNS rebinding)
/// sends that name.
///
/// Requests that change something need the header `X-Dashboard: 1`, which a page of another origin can send only after asking
/// (CORS preflight), and it is not told yes. Besides, `Origin` and `Sec-Fetch-Site`, which browsers send, must say "same origin".
/// Programs, such as curl, send neither.
class request_guard {
public:
    explicit request_guard(std::vector<std::string> names) : names_(std::move(names)) {}
    /// Why it is refused; nothing if it may be answered.
    [[nodiscard]] std::optional<std::string> refuse(const eddy::http::request& q) const;

private:
    [[nodiscard]] bool is_our_host(const std::string& host) const;
    std::vector<std::string> names_;
};

} // namespace jobs_dashboard
