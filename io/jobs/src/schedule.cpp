#include <eddy/jobs/schedule.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include <eddy/retry.hpp>
#include <eddy/sleep.hpp>
#include <eddy/task_group.hpp>
#include <eddy/this_task.hpp>

#include "client_core.hpp"
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

    /// Of an entry that is there twice, the second has another one.
    [[nodiscard]] std::string key_of(std::string_view times, const signature& job) const {
        const std::string key = "schedule." + name + "." + std::string(times) + "." + dump_json(job.form());
        const auto same = std::ranges::count_if(entries, [&](const schedule_entry& e) { return e.key == key || e.key.starts_with(key + "#"); });
        return same == 0 ? key : key + "#" + std::to_string(same + 1);
    }
};

namespace {

/// What an entry sends at one of its times, once, however many programs do it, and however often it is tried. A job, or a chain's first,
/// is sent in one step with its name for this moment being taken. Of a workflow of several messages one program has the lock, and each message
/// a name of its own.
class scheduled_sending {
public:
    scheduled_sending(schedule_core& core, const schedule_entry& e, wall_time due)
        : core_(core), name_(e.key + "@" + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(due.time_since_epoch()).count())) {
        origin from;
        from.queue = core.to.core()->queue;
        from.reply_to = core.to.core()->id;
        plan_ = plan_signature(with_id(e.job.form()), std::nullopt, from);
    }
    /// Again, if it failed, with the same object.
    task<> attempt() {
        const broker_ptr to = core_.to.core()->broker;
        const bool one_message = plan_.messages.size() == 1 && plan_.chords.empty() && plan_.groups.empty();
        if (!one_message) {
            const bool ours = co_await to->lock(name_, core_.owner, moment_is_taken_for);
            if (!ours) co_return;
            co_await send_preparations_of(to, plan_, core_.to.core()->ttl);
        }
        for (; plan_.sent < plan_.messages.size(); ++plan_.sent) {
            const auto m = std::make_shared<const message>(plan_.messages[plan_.sent]);
            std::string its_name = name_;
            if (!one_message) its_name += "#" + std::to_string(plan_.sent);
            co_await to->send_once(m, std::move(its_name), moment_is_taken_for);
        }
    }

private:
    static constexpr std::chrono::minutes moment_is_taken_for{30}; // by the clock of the slowest program

    /// A job has the same id in all programs, unless its signature says which.
    [[nodiscard]] json with_id(json form) const {
        const bool is_workflow = form["task"].get_ref<const std::string&>().starts_with("celery.");
        if (!is_workflow && !form["options"].contains("task_id")) form["options"]["task_id"] = uuid_of(name_);
        return form;
    }
    schedule_core& core_;
    std::string name_;
    plan plan_;
};

task<> serve_entry(std::shared_ptr<schedule_core> core, const schedule_entry& e) {
    for (wall_time last = wall_now();;) {
        const wall_time due = e.next_after(last);
        if (due == wall_time::max()) co_return;
        // In parts: the wall clock may be set meanwhile.
        for (wall_time now = wall_now(); now < due; now = wall_now()) co_await sleep_for(std::min<std::chrono::nanoseconds>(due - now, std::chrono::minutes(1)));
        last = std::max(due, wall_now() - std::chrono::seconds(1));
        std::exception_ptr error;
        try {
            scheduled_sending sending(*core, e, due);
            const auto attempt = [&]() { return sending.attempt(); };
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
