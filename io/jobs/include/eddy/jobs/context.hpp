// jobs::context: what a task function may know about its job, and ask of its worker.
//
//     w.add("render", [](jobs::context& job, std::string scene) {
//         for (int frame = 0; frame < 100 && !job.stop_token().stop_requested(); ++frame) job.progress({{"frame", frame}});
//     });
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include <eddy/jobs/error.hpp>
#include <eddy/jobs/json.hpp>

namespace eddy::jobs {

namespace detail {
struct message;
class job_run;
} // namespace detail

/// Given to task functions whose first parameter is a `jobs::context&`. Lives until the function has returned; it may be used
/// on the thread that the function runs on.
class context {
public:
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    [[nodiscard]] const std::string& id() const noexcept;
    [[nodiscard]] const std::string& task() const noexcept;
    [[nodiscard]] const std::string& queue() const noexcept;
    /// Of the workflow it belongs to: the first job of it, and the one that sent this one, whether by
    /// what follows it or by a `client` within its function; a job that nobody's job sent is its own root and has no parent.
    [[nodiscard]] const std::string& root_id() const noexcept;
    [[nodiscard]] const std::string& parent_id() const noexcept;
    [[nodiscard]] const std::string& group_id() const noexcept;
    /// How often it was retried before this run.
    [[nodiscard]] int retries() const noexcept;
    /// Was it given to a worker before, which did not finish it?
    [[nodiscard]] bool redelivered() const noexcept;
    /// All headers of the message, custom ones as well: an object.
    [[nodiscard]] const json& headers() const noexcept;

    /// Stop is requested when the job is terminated, at its soft time limit, and at the worker's cold shutdown. A coroutine is
    /// cancelled as well.
    [[nodiscard]] const std::stop_token& stop_token() const noexcept { return stop_; }
    /// Stores `meta` as the job's result so far, in a state of one's own; whoever asks for the state sees it. Returns at once;
    /// it is stored before the job's end is. From any thread.
    void progress(json meta, std::string state = "PROGRESS");
    /// Ends this run by an exception: the job is sent again, to start after `countdown`; without one, after the task's backoff. If it
    /// has no retry left, the job fails with `reason` as a RuntimeError.
    [[noreturn]] void retry(std::optional<std::chrono::nanoseconds> countdown = {}, const std::string& reason = "asked for a retry") const;

    // for the library
    context(std::shared_ptr<const detail::message> m, std::stop_token stop, std::function<void(json, std::string)> progress);

private:
    std::shared_ptr<const detail::message> message_;
    std::stop_token stop_;
    std::function<void(json, std::string)> progress_;
};

} // namespace eddy::jobs
