#include <eddy/jobs/schedule.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include <eddy/retry.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>

#include "text.hpp"

namespace eddy::jobs {

namespace detail {

/// A job and its times: a period, or a calendar.
class schedule_entry {
public:
    schedule_entry(std::string k, signature s, std::chrono::nanoseconds p) : key(std::move(k)), job(std::move(s)), period(p) {}
    schedule_entry(std::string k, signature s, cron_schedule c) : key(std::move(k)), job(std::move(s)), times(std::move(c)) {}
    std::string key; // the same in all programs
    signature job;
    std::chrono::nanoseconds period{};
    std::optional<cron_schedule> times;

    [[nodiscard]] wall_time next_after(wall_time t) const {
        if (times) return times->next_after(t);
        const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch());
        return wall_time(std::chrono::duration_cast<wall_time::duration>((since / period + 1) * period));
    }
};

class schedule_core {
public:
    schedule_core(client c, std::string_view n) : to(std::move(c)), name(n) {}
    client to;
    std::string name;
    std::string owner = make_uuid();
    std::vector<schedule_entry> entries;

    [[nodiscard]] std::string key_of(std::string_view times, const signature& job) const {
        return "schedule." + name + "." + std::string(times) + "." + dump_json(job.form());
    }
};

namespace {

constexpr std::chrono::minutes tick_is_taken_for(30); // by the clock of the slowest program

/// One of all programs has the lock of this moment.
task<> enqueue_once(schedule_core& core, const schedule_entry& e, wall_time due) {
    const auto moment = std::chrono::duration_cast<std::chrono::milliseconds>(due.time_since_epoch()).count();
    const bool ours = co_await core.to.lock(e.key + "@" + std::to_string(moment), core.owner, tick_is_taken_for);
    if (ours) co_await core.to.send(e.job);
}

task<> serve_entry(std::shared_ptr<schedule_core> core, const schedule_entry& e) {
    for (wall_time last = wall_now();;) {
        const wall_time due = e.next_after(last);
        if (due == wall_time::max()) co_return;
        // In parts: the wall clock may be set meanwhile.
        for (wall_time now = wall_now(); now < due; now = wall_now()) co_await sleep_for(std::min<std::chrono::nanoseconds>(due - now, std::chrono::minutes(1)));
        last = std::max(due, wall_now() - std::chrono::seconds(1));
        std::exception_ptr error;
        try {
            const auto attempt = [&]() { return enqueue_once(*core, e, due); };
            co_await retry({.attempts = 5, .first_delay = std::chrono::milliseconds(200)}, attempt);
        } catch (const std::exception&) {
            error = std::current_exception();
        }
        if (error) eddy::detail::current().loop->report({.message = "jobs: a scheduled job was not enqueued", .exception = error, .task_name = core->name});
    }
}

task<> serve_all(std::shared_ptr<schedule_core> core) {
    const auto all = [&](task_group& g) -> task<> {
        for (const schedule_entry& e : core->entries) g.spawn(serve_entry(core, e), {.name = "jobs: schedule"});
        co_return;
    };
    co_await with_task_group(all);
}

} // namespace

} // namespace detail

schedule::schedule(client to, std::string_view name) : core_(std::make_shared<detail::schedule_core>(std::move(to), name)) {}
schedule::~schedule() = default;

schedule& schedule::add_every(std::chrono::nanoseconds period, const signature& job) {
    if (period < std::chrono::milliseconds(1)) throw std::invalid_argument("jobs: a schedule's period must be at least a millisecond");
    core_->entries.emplace_back(core_->key_of(std::to_string(period.count()), job), job, period);
    return *this;
}
schedule& schedule::cron(std::string_view expression, const signature& job) {
    return cron(cron_schedule(expression, cron_zone::utc), job);
}
schedule& schedule::cron(cron_schedule times, const signature& job) {
    core_->entries.emplace_back(core_->key_of(times.expression(), job), job, times);
    return *this;
}
task<> schedule::serve() {
    return detail::serve_all(core_);
}

} // namespace eddy::jobs
