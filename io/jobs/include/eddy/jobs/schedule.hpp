// jobs::schedule: enqueue jobs again and again, as Celery's beat does.
//
//     jobs::schedule s{jc, "nightly"};
//     s.every(30s, jobs::signature("tasks.poll"));
//     s.cron("30 2 * * *", jobs::signature("tasks.backup", "full"));
//     co_await s.serve();                       // until it is cancelled
//
// Run it in as many programs as you like: at each time, one of those with the same name enqueues the job, whichever comes first. There
// is no leader, so nothing is left out when one of them ends. Their clocks should agree to some minutes. A job is sent in one step with its time
// being taken, so that another attempt after a lost connection sends nothing twice; its id is made of the entry and the time.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <eddy/cron.hpp>
#include <eddy/detail/duration.hpp>
#include <eddy/jobs/client.hpp>
#include <eddy/jobs/signature.hpp>
#include <eddy/task.hpp>

namespace eddy::jobs {

namespace detail {
class schedule_core;
}

/// Entries, and a task that enqueues them. Belongs to the thread of one loop.
class schedule {
public:
    /// `name`: of all schedules that share their entries.
    explicit schedule(client to, std::string_view name = "schedule");
    schedule(const schedule&) = delete;
    schedule& operator=(const schedule&) = delete;
    ~schedule();

    /// At each multiple of the period since 1970 (UTC), so that all programs mean the same times. Throws `std::invalid_argument` for
    /// less than a millisecond.
    template <class Rep, class Period>
    schedule& every(std::chrono::duration<Rep, Period> period, const signature& job) {
        return add_every(eddy::detail::to_nanoseconds(period), job);
    }
    /// At the times of a cron expression, in UTC unless a `cron_schedule` says otherwise. Throws what `cron_schedule` does.
    schedule& cron(std::string_view expression, const signature& job);
    schedule& cron(cron_schedule times, const signature& job);

    /// Awaitable: enqueues what is due, until it is cancelled. What the broker refuses is tried again for some seconds, then reported to the loop's
    /// exception handler; the next time is not affected. Times that passed while the program did not run are not made up for.
    task<> serve();

private:
    schedule& add_every(std::chrono::nanoseconds period, const signature& job);
    std::shared_ptr<detail::schedule_core> core_;
};

} // namespace eddy::jobs
