#include <eddy/cron.hpp>

#include <algorithm>
#include <ctime>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>

#include "cron_parser.hpp"

namespace eddy {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::system_clock;
using seconds = std::chrono::seconds;

/// A reading of the clock on the wall, as if it were UTC: arithmetic on it knows no daylight saving.
using wall_seconds = std::chrono::local_seconds;
using wall_days = std::chrono::local_days;

constexpr auto a_day = seconds(days(1));
constexpr int most_days_ahead = 50 * 366; // 29 February on a certain weekday can be 40 years away

class zone_rules {
public:
    explicit zone_rules(cron_zone z) noexcept : zone_(z) {}

    [[nodiscard]] wall_seconds wall(sys_seconds t) const { return wall_seconds(t.time_since_epoch() + offset(t)); }
    /// When the wall clock first shows `w`; if it never does, the first moment after the gap.
    [[nodiscard]] sys_seconds first_at(wall_seconds w) const {
        const seconds n = w.time_since_epoch();
        const seconds before = offset(sys_seconds(n - a_day));
        const seconds behind = offset(sys_seconds(n + a_day));
        const sys_seconds early(n - std::max(before, behind));
        const sys_seconds late(n - std::min(before, behind));
        if (wall(early) == w) return early;
        if (wall(late) == w) return late;
        return change_between(sys_seconds(n - a_day), sys_seconds(n + a_day), behind);
    }

private:
    /// The first moment that has the offset `behind`.
    [[nodiscard]] sys_seconds change_between(sys_seconds low, sys_seconds high, seconds behind) const {
        while (high - low > seconds(1)) {
            const sys_seconds middle = low + (high - low) / 2;
            (offset(middle) == behind ? high : low) = middle;
        }
        return high;
    }
    [[nodiscard]] seconds offset(sys_seconds t) const {
        if (zone_ == cron_zone::utc) return seconds(0);
        const std::time_t at = static_cast<std::time_t>(t.time_since_epoch().count());
        std::tm parts{};
        if (!::localtime_r(&at, &parts)) return seconds(0); // a year that does not fit into an int
        return seconds(parts.tm_gmtoff);
    }
    cron_zone zone_;
};

template <std::size_t N>
std::size_t next_set(const std::bitset<N>& bits, std::size_t from) noexcept {
    while (from < N && !bits[from]) ++from;
    return from;
}

} // namespace

cron_schedule::cron_schedule(std::string_view expression, cron_zone zone) : zone_(zone), expression_(expression) {
    parser(*this).run();
}

/// One search for the next time.
class cron_schedule::finder {
public:
    finder(const cron_schedule& s, sys_seconds after) noexcept : schedule_(s), zone_(s.zone_), after_(after) {}
    [[nodiscard]] std::optional<sys_seconds> find() const {
        return schedule_.every_hour_ ? find_by_the_clock() : find_by_the_day();
    }

private:
    [[nodiscard]] bool matches(wall_days d) const {
        const std::chrono::year_month_day date(d);
        if (!schedule_.months_[unsigned{date.month()}]) return false;
        const bool day = schedule_.days_[unsigned{date.day()}];
        const bool weekday = schedule_.weekdays_[std::chrono::weekday(d).c_encoding()];
        return schedule_.every_day_ || schedule_.every_weekday_ ? day && weekday : day || weekday;
    }
    [[nodiscard]] std::optional<wall_days> matching_day(wall_days from) const {
        for (int n = 0; n < most_days_ahead; ++n, from += days(1)) {
            if (matches(from)) return from;
        }
        return std::nullopt;
    }

    // Walks through real time and reads the clock on the way, so gaps and repetitions need no thought.
    [[nodiscard]] std::optional<sys_seconds> find_by_the_clock() const {
        for (sys_seconds t = after_ + seconds(1);;) {
            const wall_seconds w = zone_.wall(t);
            const wall_days today = std::chrono::floor<days>(w);
            if (!matches(today)) {
                const std::optional<wall_days> day = matching_day(today + days(1));
                if (!day) return std::nullopt;
                t = std::max(t + seconds(1), zone_.first_at(*day));
                continue;
            }
            const std::chrono::hh_mm_ss time(w - today);
            if (!schedule_.hours_[static_cast<std::size_t>(time.hours().count())])
                t += std::chrono::hours(1) - time.minutes() - time.seconds();
            else if (!schedule_.minutes_[static_cast<std::size_t>(time.minutes().count())])
                t += std::chrono::minutes(1) - time.seconds();
            else if (!schedule_.seconds_[static_cast<std::size_t>(time.seconds().count())])
                t += seconds(1);
            else
                return t;
        }
    }

    // Each day has its times once. The moments at which the wall clock first shows them never decrease with them, so
    // hours and minutes that lie in the past can be passed over as a whole.
    [[nodiscard]] std::optional<sys_seconds> find_by_the_day() const {
        std::optional<wall_days> day = matching_day(std::chrono::floor<days>(zone_.wall(after_)));
        while (day) {
            if (const std::optional<sys_seconds> t = find_in(*day)) return t;
            day = matching_day(*day + days(1));
        }
        return std::nullopt;
    }
    [[nodiscard]] std::optional<sys_seconds> find_in(wall_days day) const {
        const auto at = [&](std::size_t h, std::size_t m, std::size_t s) {
            return zone_.first_at(day + std::chrono::hours(h) + std::chrono::minutes(m) + seconds(s));
        };
        for (std::size_t h = next_set(schedule_.hours_, 0); h < 24; h = next_set(schedule_.hours_, h + 1)) {
            if (at(h, 59, 59) <= after_) continue;
            for (std::size_t m = next_set(schedule_.minutes_, 0); m < 60; m = next_set(schedule_.minutes_, m + 1)) {
                if (at(h, m, 59) <= after_) continue;
                for (std::size_t s = next_set(schedule_.seconds_, 0); s < 60; s = next_set(schedule_.seconds_, s + 1)) {
                    if (const sys_seconds t = at(h, m, s); t > after_) return t;
                }
            }
        }
        return std::nullopt;
    }

    const cron_schedule& schedule_;
    zone_rules zone_;
    sys_seconds after_;
};

cron_schedule::time_point cron_schedule::next_after(time_point t) const {
    constexpr sys_seconds end = std::chrono::floor<seconds>(time_point::max());
    const sys_seconds from = std::chrono::floor<seconds>(t);
    if (from >= end) return time_point::max();
    const std::optional<sys_seconds> found = finder(*this, from).find();
    return found && *found < end ? time_point(*found) : time_point::max();
}

namespace detail {
namespace {

constexpr auto look_again = std::chrono::minutes(1);
constexpr auto small_step_back = std::chrono::minutes(5);

class calendar final : public timetable {
public:
    calendar(cron_schedule s, system_clock::time_point now)
        : schedule_(std::move(s)), seen_(now), next_(schedule_.next_after(now)) {}

    [[nodiscard]] loop_clock::time_point next(const event_loop& loop) override {
        const system_clock::time_point now = loop.wall_now();
        if (now + small_step_back < seen_) { // somebody set the clock back: what lies behind us will come again
            seen_ = now;
            next_ = schedule_.next_after(now);
        }
        if (next_ == system_clock::time_point::max()) return loop_clock::time_point::max();
        return after(loop.now(), next_ - now);
    }
    [[nodiscard]] std::size_t take_due(const event_loop& loop, std::chrono::nanoseconds late, missed_ticks policy,
                                       std::size_t most) override {
        const system_clock::time_point now = loop.wall_now() - std::chrono::duration_cast<system_clock::duration>(late);
        std::size_t ticks = 1;
        seen_ = next_;
        next_ = schedule_.next_after(seen_);
        if (next_ > now) return ticks;
        for (; policy == missed_ticks::burst && next_ <= now && ticks < most; ++ticks)
            next_ = schedule_.next_after(next_);
        seen_ = now;
        if (next_ <= now) next_ = schedule_.next_after(now);
        return ticks;
    }
    [[nodiscard]] std::chrono::nanoseconds good_for() const noexcept override { return look_again; }

private:
    cron_schedule schedule_;
    system_clock::time_point seen_; // times up to here had their turn
    system_clock::time_point next_;
};

} // namespace

periodic_job start_cron(cron_schedule schedule, unique_function<task<>()> call, periodic_options options,
                        std::source_location site) {
    if (options.jitter.count() < 0) throw std::invalid_argument("cron: the jitter is negative");
    static_cast<void>(require_open_loop("cron"));
    const std::string name = fmt::format("cron {}", schedule.expression());
    auto times = std::make_unique<calendar>(std::move(schedule), this_loop().wall_now());
    return start_periodic(std::move(times), std::move(call), std::move(options), name, site);
}

} // namespace detail
} // namespace eddy
