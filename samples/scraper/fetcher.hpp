// One request and what came of it, as a value: on the web a failure is an everyday result.
#pragma once

#include <eddy/http/client.hpp>
#include <eddy/task.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "options.hpp"
#include "url.hpp"

namespace scraper {

/// What went wrong.
struct failure {
    std::string kind;    // a word or two, to count by: "timeout"
    std::string message; // more of it, for people
};

struct fetch_result {
    int status = 0;               // 0: no complete answer, and `error` says why
    std::optional<failure> error; // an answer is none, whatever its status
    bool may_pass = false;        // a further try makes sense
    std::string body;             // unpacked
    std::string content_type;
    std::string location;                     // where a redirect leads
    std::chrono::milliseconds retry_after{0}; // what the server asked for
    std::uint64_t bytes = 0;                  // as received
    std::chrono::microseconds elapsed{0};
};

/// Asks for pages over one HTTP client, whose connections are used again and again.
class fetcher {
public:
    explicit fetcher(const options& o);

    /// One request, without further tries. A redirect is a result like others: whoever follows it has to look at the
    /// robots.txt of where it leads. Throws nothing but `eddy::operation_cancelled`.
    [[nodiscard]] eddy::task<fetch_result> get(const url& address);
    /// The same for a robots.txt, where up to five redirects are followed at once (RFC 9309, section 2.3.1.2).
    [[nodiscard]] eddy::task<fetch_result> get_robots(const url& address);

private:
    [[nodiscard]] eddy::task<fetch_result> request(const url& address, int redirects);
    eddy::http::client client_;
};

/// The name in robots.txt; the requests' User-Agent starts with it.
inline constexpr std::string_view agent_name = "eddy-scraper";

} // namespace scraper
