// What RQ's jobs have and Celery's have not.
//
//     jobs::client rq = co_await jobs::connect("redis://127.0.0.1:6379/0", {.protocol = jobs::protocol::rq});
//     jobs::rq_options how;
//     how.depends_on = {id_of_another};
//     how.retries = 3;
//     how.retry_intervals = {10s, 60s};
//     std::string id = co_await rq.send("reports.monthly", {.rq = &how}, "2026-11");
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <eddy/jobs/json.hpp>

namespace eddy::jobs {

/// How a job is sent over RQ's protocol, besides `send_options`. Times are whole seconds there, and are rounded up.
struct rq_options {
    std::vector<std::string> depends_on = {};  // ids: it is queued when all of them have finished; those that are gone count as finished
    bool allow_dependency_failures = false;    // … or have failed
    bool at_front = false;                     // of its queue
    int retries = 0;                           // after failures of any kind
    std::vector<std::chrono::nanoseconds> retry_intervals = {}; // before each; if there are fewer than retries, the first one is used first several times
    std::optional<std::chrono::nanoseconds> result_ttl = {};  // the worker's, unless it is set; 0: the job is deleted when it has finished; negative: kept for ever
    std::optional<std::chrono::nanoseconds> failure_ttl = {}; // the same for a job that has failed; a year
    std::string description = {};              // "module.function(2, y=3)", if it is empty
    json meta = json::object();                // anything; what `context::progress` stores is added to it
    std::string on_success = {};               // a function of the worker's that is called with the result
    std::string on_failure = {};               // … with the exception's type and message
};

} // namespace eddy::jobs
