#include <eddy/jobs/on_jobs.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <eddy/errors.hpp>
#include <eddy/progress.hpp>
#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/task_handle.hpp>
#include <eddy/timeout.hpp>
#include <eddy/with_cleanup.hpp>

#include "text.hpp"

namespace eddy::jobs::detail {

namespace {

constexpr std::chrono::milliseconds progress_interval(500);
constexpr std::chrono::seconds revoke_patience(5); // with a broker that is away

std::uint64_t count_in(const json& meta, const char* key) {
    const auto at = meta.find(key);
    if (at == meta.end() || !at->is_number()) return 0;
    const double n = at->get<double>();
    return n > 0 && n < 9e15 ? static_cast<std::uint64_t>(n) : 0;
}

/// Until it is cancelled: tells what the job has stored of its progress, when that has changed.
task<> watch_progress(client c, std::string id, std::shared_ptr<eddy::detail::report_target> target) {
    json last;
    for (;;) {
        co_await sleep_for(progress_interval);
        job_status now;
        try {
            now = co_await c.status(id);
        } catch (const std::exception&) { // whoever waits for the result hears of it
            continue;
        }
        if (now.ready() || now.state == "PENDING" || now.state == "STARTED" || !now.result.is_object() || now.result == last) continue;
        last = now.result;
        const auto text = last.find("text");
        const std::string said = text != last.end() && text->is_string() ? text->get<std::string>() : std::string();
        target->report(count_in(last, "current"), count_in(last, "total"), said);
    }
}

} // namespace

/// `send_options` points to texts and values of the caller's: here they are.
class job_template {
public:
    explicit job_template(const send_options& how)
        : queue_(how.queue), named_(copy_of(how.named)), headers_(copy_of(how.headers)), on_success_(copy_of(how.on_success)), on_error_(copy_of(how.on_error)),
          rq_(copy_of(how.rq)), options_(how) {
        if (!how.id.empty()) throw std::invalid_argument("jobs: on_jobs with the id " + std::string(how.id) + ", which each of its jobs would have");
        if (how.ignore_result) throw std::invalid_argument("jobs: on_jobs with ignore_result: whoever calls would wait for ever");
        options_.queue = queue_;
        options_.named = pointer_to(named_);
        options_.headers = pointer_to(headers_);
        options_.on_success = pointer_to(on_success_);
        options_.on_error = pointer_to(on_error_);
        options_.rq = pointer_to(rq_);
    }
    job_template(const job_template&) = delete;
    job_template& operator=(const job_template&) = delete;
    [[nodiscard]] const send_options& options() const noexcept { return options_; }

private:
    template <class T>
    static std::optional<T> copy_of(const T* p) {
        return p ? std::optional<T>(*p) : std::nullopt;
    }
    template <class T>
    static const T* pointer_to(const std::optional<T>& v) noexcept {
        return v ? &*v : nullptr;
    }
    std::string queue_;
    std::optional<json> named_, headers_;
    std::optional<signature> on_success_, on_error_;
    std::optional<rq_options> rq_;
    send_options options_; // which points to them
};
std::shared_ptr<const job_template> make_job_template(const send_options& how) {
    return std::make_shared<const job_template>(how);
}

task<json> run_as_job(client c, std::string name, std::shared_ptr<const job_template> how, json args) {
    const std::string id = make_uuid();
    const std::shared_ptr<eddy::detail::report_target> target = eddy::detail::current_report_target();
    std::optional<task_handle<>> watching;
    bool over = false;
    auto body = [&]() -> task<json> {
        send_options options = how->options();
        options.id = id;
        co_await c.send_json(std::move(name), std::move(args), options);
        if (target) watching.emplace(spawn(watch_progress, c, id, target));
        try {
            json value = co_await c.result(id);
            over = true;
            co_return value;
        } catch (const task_failed&) {
            over = true;
            throw;
        } catch (const task_revoked&) {
            over = true;
            throw;
        }
    };
    // Also when nothing could be heard of it, or it is not known whether it was sent: whoever tries again would have two.
    auto withdraw = [&]() -> task<> {
        if (watching) co_await watching->cancel_and_join();
        if (over) co_return;
        const auto revoke = [&](cancel_scope&) -> task<> {
            revoke_options ending;
            ending.terminate = true;
            try {
                co_await c.revoke(id, ending);
            } catch (const std::exception&) { // the caller hears what went wrong before
            }
        };
        co_await move_on_after(revoke_patience, revoke);
    };
    co_return co_await with_cleanup(body, withdraw);
}

} // namespace eddy::jobs::detail
