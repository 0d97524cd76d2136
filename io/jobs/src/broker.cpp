#include "broker.hpp"

#include <algorithm>
#include <array>

#include <eddy/jobs/error.hpp>

namespace eddy::jobs::detail {

task<broker_ptr> open_broker(std::shared_ptr<const broker_settings> settings) {
    const std::string& url = settings->url;
    const bool over_redis = std::ranges::any_of(std::array{"redis://", "rediss://", "unix://", "redis+socket://"}, [&](const char* s) { return url.starts_with(s); });
    if (settings->protocol == protocol::rq) throw error("jobs: RQ's protocol is not supported yet (" + url.substr(0, url.find(':')) + ")");
#ifdef EDDY_JOBS_REDIS
    if (over_redis) co_return co_await open_redis_broker(settings);
#else
    if (over_redis) throw error("jobs: this eddy was built without its component redis");
#endif
    if (!settings->results.empty() && settings->results != url) throw error("jobs: results of their own are for Redis only, not for " + url);
    if (url.starts_with("memory:")) co_return open_memory_broker(url.substr(7));
    if (url.starts_with("sqlite:") && url.size() > 7) co_return co_await open_sqlite_broker(url.substr(7), settings->poll);
    throw error("jobs: '" + url.substr(0, url.find(':')) + ":' is no broker: write memory:, sqlite:FILE or redis://HOST:PORT/DATABASE");
}

} // namespace eddy::jobs::detail
