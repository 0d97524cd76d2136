// RQ's results that are waited for: one blocking XREAD on the streams of all of them, on one connection.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include <eddy/cancel_scope.hpp>
#include <eddy/event.hpp>
#include <eddy/redis/client.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs::detail::rq {

class results : public std::enable_shared_from_this<results> {
public:
    results(redis::client c, std::string prefix) : client_(std::move(c)), prefix_(std::move(prefix)) {}

    /// Awaitable: what is stored of a job, in Celery's form; nullopt if there is no such job.
    task<std::optional<std::string>> fetch(std::string id);
    /// Awaitable: the same when it is over. A job that is gone is one that has failed, with a NoSuchJobError.
    task<std::string> wait_final(std::string id);
    /// The task that reads ends.
    void close() noexcept;

private:
    /// What is known of a job. Not an aggregate (trap T1).
    class look {
    public:
        look() = default;
        std::optional<std::string> text;
        std::string last = "0-0"; // of its stream's entries
        bool over = false;
    };
    class waiter;
    task<look> look_at(std::string id);
    void start_reading();
    task<> read();
    task<> read_once();

    redis::client client_;
    std::string prefix_;
    std::list<waiter*> waiters_;
    cancel_scope* reading_ = nullptr; // the XREAD that does not know of the latest waiter
    bool running_ = false;
    bool closed_ = false;
};

} // namespace eddy::jobs::detail::rq
