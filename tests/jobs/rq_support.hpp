// RQ's protocol against a real redis-server: a worker, a client, and the keys as another program sees them.
#pragma once

#include "jobs/support.hpp"
#include "redis/support.hpp"

namespace jobs_tests {

using redis_tests::has;

/// A server, a client of jobs, and one of the keys.
class rq_scene {
public:
    /// False: this machine has no redis-server.
    task<bool> open() {
        const bool there = co_await server.start();
        if (!there) co_return false;
        rc.emplace(co_await redis::connect(server.url()));
        c.emplace(co_await client());
        co_return true;
    }
    task<jobs::client> client() const { return jobs::connect(server.url(), {.protocol = jobs::protocol::rq}); }
    [[nodiscard]] jobs::worker worker(jobs::worker_options o) const {
        o.protocol = jobs::protocol::rq;
        if (o.name.empty()) o.name = "w";
        return jobs::worker(server.url(), std::move(o));
    }
    /// What is reported to the loop, a line each; without this, a report fails the test.
    std::shared_ptr<std::string> take_reports() {
        auto all = std::make_shared<std::string>();
        this_loop().set_exception_handler([all](const error_context& e) { *all += std::string(e.message) + "\n"; });
        return all;
    }
    /// The reply of a command, described.
    template <class... A>
    task<std::string> key(std::string_view command, A... arguments) {
        return described(rc->command(command, arguments...));
    }
    task<std::string> status(std::string id) { return key("HGET", "rq:job:" + id, "status"); }
    /// Until the job has this status.
    task<> wait_status(std::string id, std::string wanted) {
        wanted = "\"" + wanted + "\"";
        for (;;) {
            const std::string now = co_await status(id);
            if (now == wanted) co_return;
            co_await sleep_for(5ms);
        }
    }
    /// Until the reply is that; the server may be away meanwhile.
    task<> wait_for(std::string wanted, std::string command, std::string key_name) {
        for (std::string now; now != wanted; co_await sleep_for(5ms)) {
            try {
                now = co_await key(command, key_name);
            } catch (const redis::connection_lost&) {
            }
        }
    }
    redis_tests::real_server server;
    std::optional<redis::client> rc;
    std::optional<jobs::client> c;

private:
    static task<std::string> described(task<redis::value> t) {
        const redis::value v = co_await std::move(t);
        co_return v.describe();
    }
};

/// Runs `body` while the worker serves, for at most a minute.
template <class F>
task<> while_rq_serves(jobs::worker& w, F& body) {
    const auto all = [&](cancel_scope&) { return while_serving(w, body); };
    co_await with_timeout(1min, all);
}

} // namespace jobs_tests
