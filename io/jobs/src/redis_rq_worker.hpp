// What RQ's broker knows: the server, the claims of its worker, and what that worker tells of itself.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <eddy/redis/client.hpp>

#include "broker.hpp"
#include "redis_lists.hpp"
#include "redis_rq_job.hpp"
#include "redis_rq_scripts.hpp"

namespace eddy::jobs::detail::rq {

/// A job that was claimed. Not an aggregate (trap T1).
class claim {
public:
    claim(std::string i, std::string q, fields f) : id(std::move(i)), queue(std::move(q)), hash(std::move(f)) {}
    std::string id;
    std::string queue;
    fields hash;
    bool early = false; // acknowledged before it ran
    std::optional<wall_time> started;
    std::optional<wall_time> ended;
};

/// Of one broker.
class server {
public:
    server(redis::client c, const broker_settings& s) : client(std::move(c)), prefix(s.key_prefix + "rq:"), worker(s.worker), lease(s.lease) {}

    redis::client client;
    const std::string prefix;
    const std::string worker; // its name; empty: this is a client
    const std::chrono::nanoseconds lease;
    std::unordered_map<std::string, claim> claims; // by tag

    [[nodiscard]] std::string key(std::string_view name) const { return prefix + std::string(name); }
    [[nodiscard]] std::string worker_key() const { return worker.empty() ? std::string() : key("worker:" + worker); }
    /// A script of redis_rq_scripts.hpp.
    template <class... A>
    [[nodiscard]] task<redis::value> run(const redis::script& s, const A&... arguments) {
        static const std::vector<std::string> no_keys;
        return client.eval(s, no_keys, prefix, arguments...);
    }
    /// The id of a job that runs besides this one: what `current_job` is when that one ends.
    [[nodiscard]] std::string other_job(const std::string& tag) const;
    [[nodiscard]] std::string end_of_claim() const { return unix_text(to_unix(wall_now()) + std::chrono::duration<double>(lease).count()); }
};

class record final : public worker_record {
public:
    explicit record(std::shared_ptr<server> s) : server_(std::move(s)) {}
    task<> birth(std::vector<std::string> queues) override;
    task<> beat() override;
    task<> shutting_down() override;
    task<> death(std::vector<std::string> queues) override;
    task<bool> start(std::string tag) override;
    task<> retry(std::string tag, std::optional<duration> pause) override;
    task<duration> move_scheduled(std::vector<std::string> queues) override;
    /// Jobs are claimed again, or not, because all workers were suspended.
    task<> suspended(bool now);

private:
    task<> write_birth();
    std::shared_ptr<server> server_;
    std::vector<std::string> queues_;
    std::string born_;
    std::unordered_set<std::string> locks_; // of the queues whose scheduler this is
    bool suspended_ = false;
};

} // namespace eddy::jobs::detail::rq
