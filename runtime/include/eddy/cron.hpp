// cron: run something at times of the calendar.
//
//     auto job = cron("*/5 * * * *", collect);                 // every five minutes
//     auto nightly = cron("30 2 * * mon-fri", backup);          // 02:30 local time on working days
//     cron_schedule s("0 9 1 * *", cron_zone::utc);
//     auto when = s.next_after(std::chrono::system_clock::now());
//
// An expression has five fields – minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or jan-dec), day of
// the week (0-7 or sun-sat; 0 and 7 are Sunday) – or six, with seconds (0-59) first. A field is `*` or a list of values
// and ranges, each with a step: `1,15`, `mon-fri`, `*/10`, `8-18/2`, `5/15` (from 5 to the end). Names are read in any
// case; `fri-sun` is a range. Instead of the fields: @yearly (@annually), @monthly, @weekly, @daily (@midnight),
// @hourly.
//
// If both day fields are restricted, a day that matches either is taken; if one of them begins with `*`, both have to
// match (the rule of POSIX and of Vixie's cron).
//
// Daylight saving, in local time. An entry whose hour field begins with `*` follows the clock on the wall: a time that
// does not exist is left out, and a time that comes twice is taken twice, so that `30 * * * *` runs once an hour of
// real time throughout. With any other hour field every day has its times once: a time that does not exist is taken at
// the first moment after the gap – once, even if several fall into it or one is due then anyway – and of a time that
// comes twice the first is taken.
#pragma once

#include <bitset>
#include <chrono>
#include <cstddef>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <eddy/every.hpp>

namespace eddy {

/// In which zone an expression is read: the process's (TZ, /etc/localtime), or UTC.
enum class cron_zone : unsigned char { local, utc };

/// A parsed cron expression. A value; usable without a loop and from any thread (as far as nobody changes TZ).
class cron_schedule {
public:
    using time_point = std::chrono::system_clock::time_point;

    /// Throws `std::invalid_argument` that quotes the expression and the field and says why, also for dates that no
    /// year has (`0 0 30 2 *`).
    explicit cron_schedule(std::string_view expression, cron_zone zone = cron_zone::local);

    /// The first time after `t`, never `t` itself; always on a full second. `time_point::max()` if the range of the
    /// clock has none.
    [[nodiscard]] time_point next_after(time_point t) const;
    /// The expression as it was given.
    [[nodiscard]] const std::string& expression() const noexcept { return expression_; }
    [[nodiscard]] cron_zone zone() const noexcept { return zone_; }

private:
    class parser;
    class finder;
    std::bitset<60> seconds_;
    std::bitset<60> minutes_;
    std::bitset<24> hours_;
    std::bitset<32> days_;    // of the month, from 1
    std::bitset<13> months_;  // from 1
    std::bitset<7> weekdays_; // from Sunday
    bool every_hour_ = false; // the hour field begins with `*`; so for the days
    bool every_day_ = false;
    bool every_weekday_ = false;
    cron_zone zone_;
    std::string expression_;
};

/// Starts a job that calls `fn()` at the times of the expression, as `every` does with its period; the same options,
/// the same handle. In local time; for UTC give it a `cron_schedule`. Throws `std::invalid_argument` as `cron_schedule`
/// does and for a negative jitter; `std::logic_error` without a running loop.
///
/// It follows the wall clock, which it looks at again at least once a minute: a clock that was set is noticed that
/// late. Set forward, the times that were jumped over count as missed ticks (as when the machine slept): one run for
/// all of them, or with `missed_ticks::burst` one for each. Set back by up to five minutes, no time runs twice; set
/// back further, the schedule starts over from the new time.
template <class F>
auto cron(std::string_view expression, F&& fn, periodic_options options = {},
          std::source_location site = std::source_location::current())
    -> detail::hazard_t<periodic_job, F, periodic_options>;
template <class F>
auto cron(cron_schedule schedule, F&& fn, periodic_options options = {},
          std::source_location site = std::source_location::current())
    -> detail::hazard_t<periodic_job, F, periodic_options>;

// --- implementation

namespace detail {
[[nodiscard]] periodic_job start_cron(cron_schedule schedule, unique_function<task<>()> call, periodic_options options,
                                      std::source_location site);
}

template <class F>
auto cron(std::string_view expression, F&& fn, periodic_options options, std::source_location site)
    -> detail::hazard_t<periodic_job, F, periodic_options> {
    return detail::start_cron(cron_schedule(expression), detail::make_job(std::forward<F>(fn)), std::move(options),
                              site);
}
template <class F>
auto cron(cron_schedule schedule, F&& fn, periodic_options options, std::source_location site)
    -> detail::hazard_t<periodic_job, F, periodic_options> {
    return detail::start_cron(std::move(schedule), detail::make_job(std::forward<F>(fn)), std::move(options), site);
}

} // namespace eddy
