#include "robots_cache.hpp"

#include <utility>

#include <eddy/sleep.hpp>

namespace scraper {
namespace {

// 4xx: there is none, so everything is allowed. 5xx: nobody knows, so nothing is (RFC 9309, section 2.3.1).
failure unavailable(const url& robots, int status) {
    return failure{"no robots.txt", robots.text + " answered with status " + std::to_string(status) +
                                        ", so nothing there may be fetched"};
}

} // namespace

eddy::task<robots_cache::verdict> robots_cache::check(const url& address) {
    site& s = sites_[address.origin];
    {
        // The first to come asks; the others wait for what it learns. If it is cancelled, the next one asks.
        const eddy::mutex_guard guard = co_await s.asking.lock();
        if (!s.known) co_await ask(address, s);
        s.known = true;
    }
    verdict result;
    result.error = s.error;
    result.allowed = !s.error && s.rules.allows(address.target);
    co_return result;
}

eddy::task<> robots_cache::ask(const url& address, site& s) {
    const std::optional<url> robots = resolve(address, "/robots.txt");
    if (!robots) co_return;
    for (int tries = 1;; ++tries) {
        fetch_result got = co_await fetcher_.get_robots(*robots);
        if (got.may_pass && tries <= retries_) {
            co_await eddy::sleep_for(backoff_.delay(tries, got.retry_after));
            continue;
        }
        if (got.status >= 200 && got.status < 300)
            s.rules = robots_rules::parse(got.body, agent_name);
        else if (got.status >= 500)
            s.error = unavailable(*robots, got.status);
        else if (got.status == 0 && got.error->kind != "too many redirects")
            s.error = std::move(got.error);
        co_return;
    }
}

} // namespace scraper
