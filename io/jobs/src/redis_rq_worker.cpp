#include "redis_rq_worker.hpp"

#include <algorithm>
#include <unistd.h>

#include <eddy/jobs/error.hpp>

namespace eddy::jobs::detail::rq {

namespace {

constexpr int worker_ttl = 480; // RQ's 420 and 60

std::string joined(const std::vector<std::string>& names) {
    std::string all;
    for (const std::string& n : names) all += (all.empty() ? "" : ",") + n;
    return all;
}

} // namespace

std::string server::other_job(const std::string& tag) const {
    for (const auto& [other, c] : claims)
        if (other != tag && c.started) return c.id;
    return {};
}

task<> record::birth(std::vector<std::string> queues) {
    queues_ = std::move(queues);
    const std::string key = server_->worker_key();
    redis::pipeline p;
    p.add("EXISTS", key).add("HEXISTS", key, "death");
    const std::vector<redis::value> there = co_await server_->client.run(p);
    check_all(there);
    if (there[0].as_integer() == 1 && there[1].as_integer() == 0) throw error("jobs: there is an RQ worker '" + server_->worker + "' already");
    born_ = to_rq_time(wall_now());
    co_await server_->client.command("DEL", key);
    co_await write_birth();
}
task<> record::write_birth() {
    const std::string key = server_->worker_key();
    const std::string now = to_rq_time(wall_now());
    redis::pipeline p;
    p.add("HSET", key, "birth", born_, "last_heartbeat", now, "queues", joined(queues_), "pid", ::getpid(), "hostname", host_name(), "ip_address", "unknown");
    p.add("HSET", key, "version", "1.13.0", "python_version", "eddy 0.1.0 (C++)", "state", "idle");
    p.add("EXPIRE", key, worker_ttl).add("SADD", server_->key("workers"), key);
    for (const std::string& q : queues_) p.add("SADD", server_->key("workers:" + q), key);
    const auto done = co_await server_->client.transaction(p);
    if (done) check_all(*done);
}
/// After a server that has lost its memory, or was away for long, the worker is born again.
task<> record::beat() {
    const std::string key = server_->worker_key();
    const redis::value there = co_await server_->client.command("EXPIRE", key, worker_ttl);
    if (there.as_integer() == 0) co_return co_await write_birth();
    co_await server_->client.command("HSET", key, "last_heartbeat", to_rq_time(wall_now()));
}
task<> record::shutting_down() {
    co_await server_->client.command("HSET", server_->worker_key(), "shutdown_requested_date", to_rq_time(wall_now()));
}
task<> record::death(std::vector<std::string> queues) {
    const std::string key = server_->worker_key();
    redis::pipeline p;
    for (const std::string& q : locks_) p.add("DEL", server_->key("scheduler-lock:" + q));
    locks_.clear();
    p.add("SREM", server_->key("workers"), key);
    for (const std::string& q : queues) p.add("SREM", server_->key("workers:" + q), key);
    p.add("HSET", key, "death", to_rq_time(wall_now())).add("EXPIRE", key, 60);
    const std::vector<redis::value> replies = co_await server_->client.run(p);
    check_all(replies);
}
task<> record::suspended(bool now) {
    if (now == suspended_ || server_->worker.empty()) co_return;
    suspended_ = now;
    const std::string state = now ? "suspended" : server_->other_job("").empty() ? "idle" : "busy";
    co_await server_->client.command("HSET", server_->worker_key(), "state", state);
}

task<bool> record::start(std::string tag) {
    claim& c = server_->claims.at(tag);
    const std::string until = c.early ? std::string() : server_->end_of_claim();
    const std::string now = to_rq_time(wall_now());
    const redis::value v = co_await server_->run(start_script(), c.id, c.queue, now, until, server_->worker_key(), server_->worker);
    const bool may_run = v.as_integer() == 1;
    if (may_run) c.started = wall_now();
    co_return may_run;
}
task<> record::retry(std::string tag, std::optional<duration> pause) {
    claim& c = server_->claims.at(tag);
    if (!c.ended) c.ended = wall_now();
    const std::string now = to_rq_time(*c.ended), unix = unix_text(to_unix(*c.ended));
    const std::string after = pause ? unix_text(std::chrono::duration<double>(*pause).count()) : std::string();
    co_await server_->run(retry_script(), c.id, c.queue, now, unix, after, server_->worker_key(), server_->other_job(tag), c.early ? "1" : "0");
    server_->claims.erase(tag);
}

task<worker_record::duration> record::move_scheduled(std::vector<std::string> queues) {
    constexpr duration usual = std::chrono::seconds(1);
    std::vector<std::string> asked;
    for (const std::string& q : queues) {
        asked.push_back(q);
        asked.emplace_back(locks_.contains(q) ? "1" : "0");
    }
    const double now = to_unix(wall_now());
    redis::value reply = co_await server_->run(schedule_script(), unix_text(now), to_rq_time(wall_now()), ::getpid(), asked);
    std::vector<std::string> words = reply.take_strings();
    for (std::size_t i = 0; i < queues.size(); ++i) {
        if (words.at(0).at(i) == '1') locks_.insert(queues[i]);
        else locks_.erase(queues[i]);
    }
    if (words.at(1).empty()) co_return usual;
    const double left = std::stod(words[1]) - to_unix(wall_now());
    co_return std::chrono::nanoseconds(static_cast<std::int64_t>(std::clamp(left, 0.005, 1.0) * 1e9));
}

} // namespace eddy::jobs::detail::rq
