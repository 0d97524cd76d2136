#include <eddy/jobs/on_jobs.hpp>

#include <cstdint>
#include <memory>
#include <optional>

#include <eddy/errors.hpp>
#include <eddy/progress.hpp>
#include <eddy/sleep.hpp>
#include <eddy/spawn.hpp>
#include <eddy/task_handle.hpp>
#include <eddy/with_cleanup.hpp>

namespace eddy::jobs::detail {

namespace {

constexpr std::chrono::milliseconds progress_interval(500);

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

task<json> run_as_job(client c, std::string name, json args) {
    const std::string id = co_await c.send_json(std::move(name), std::move(args));
    const std::shared_ptr<eddy::detail::report_target> target = eddy::detail::current_report_target();
    std::optional<task_handle<>> watching;
    bool over = false;
    auto body = [&]() -> task<json> {
        if (target) watching.emplace(spawn(watch_progress, c, id, target));
        try {
            json value = co_await c.result(id);
            over = true;
            co_return value;
        } catch (const operation_cancelled&) {
            throw;
        } catch (...) {
            over = true;
            throw;
        }
    };
    auto withdraw = [&]() -> task<> {
        if (watching) co_await watching->cancel_and_join();
        if (over) co_return;
        revoke_options how;
        how.terminate = true;
        co_await c.revoke(id, how);
    };
    co_return co_await with_cleanup(body, withdraw);
}

} // namespace eddy::jobs::detail
