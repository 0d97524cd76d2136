#include "broker.hpp"

#include <algorithm>
#include <array>

#include <eddy/jobs/error.hpp>

namespace eddy::jobs::detail {

namespace {

outgoing celery_message(const message& m) {
    if (m.rq) throw error("jobs: " + m.task + " was sent with rq_options, and this is not RQ's protocol");
    return {m.queue, m.priority, m.tag, encode_message(m)};
}

} // namespace

task<> broker::send(std::shared_ptr<const message> m) {
    outgoing o = celery_message(*m);
    co_await declare(m->queue);
    co_await enqueue(std::move(o));
}
task<> broker::send_once(std::shared_ptr<const message> m, std::string name, duration ttl) {
    outgoing o = celery_message(*m);
    co_await declare(m->queue);
    co_await enqueue_once(std::move(o), std::move(name), ttl);
}
message broker::read(const delivery& d) const {
    return decode_message(d.payload);
}
std::string broker::marked(const std::string& payload, int deliveries) const {
    return mark_redelivered(payload, deliveries);
}
task<bool> broker::put_off(std::string, duration) {
    co_return false;
}
task<> broker::revoke(std::string id, bool terminate, std::string signal) {
    json arguments = {{"task_id", std::move(id)}, {"terminate", terminate}, {"signal", std::move(signal)}};
    std::string text = control_envelope(control_message("revoke", std::move(arguments)), std::chrono::seconds(10));
    co_await broadcast(std::move(text));
}

task<broker_ptr> open_broker(std::shared_ptr<const broker_settings> settings) {
    const std::string& url = settings->url;
    const bool over_redis = std::ranges::any_of(std::array{"redis://", "rediss://", "unix://", "redis+socket://"}, [&](const char* s) { return url.starts_with(s); });
    const bool rq = settings->protocol == protocol::rq;
    if (rq && !over_redis) throw error("jobs: RQ's protocol is spoken over Redis, not over " + url.substr(0, url.find(':')) + ":");
    if (rq && !settings->results.empty() && settings->results != url) throw error("jobs: with RQ's protocol, results are where the jobs are");
#ifdef EDDY_JOBS_REDIS
    if (rq) co_return co_await open_rq_broker(settings);
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
