// The robots.txt of every site we come to, asked for once each.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <eddy/mutex.hpp>
#include <eddy/task.hpp>

#include "fetcher.hpp"
#include "limits.hpp"
#include "robots.hpp"

namespace scraper {

class robots_cache {
public:
    robots_cache(fetcher& f, const options& o) : fetcher_(f), retries_(o.retries), backoff_(o.first_retry_delay) {}

    /// What RFC 9309 makes of a site's answer.
    struct verdict {
        bool allowed = true;
        std::optional<failure> error; // the site or its robots.txt cannot be reached, so nothing there is allowed
    };
    [[nodiscard]] eddy::task<verdict> check(const url& address);

private:
    struct site {
        eddy::mutex asking;
        bool known = false;
        robots_rules rules;
        std::optional<failure> error;
    };
    [[nodiscard]] eddy::task<> ask(const url& address, site& s);

    fetcher& fetcher_;
    int retries_;
    backoff backoff_;
    std::map<std::string, site> sites_; // by origin
};

} // namespace scraper
