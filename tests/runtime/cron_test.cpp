#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

using time_point = std::chrono::system_clock::time_point;

/// Puts the process into a zone, described in full so that no database is needed, and back.
class in_zone {
public:
    explicit in_zone(const char* zone) {
        if (const char* const old = std::getenv("TZ")) {
            had_ = true;
            old_ = old;
        }
        ::setenv("TZ", zone, 1);
        ::tzset();
    }
    in_zone(const in_zone&) = delete;
    in_zone& operator=(const in_zone&) = delete;
    ~in_zone() {
        if (had_)
            ::setenv("TZ", old_.c_str(), 1);
        else
            ::unsetenv("TZ");
        ::tzset();
    }

private:
    bool had_ = false;
    std::string old_;
};

constexpr const char* berlin = "CET-1CEST,M3.5.0,M10.5.0/3";

/// "2026-03-29 01:30:00" in UTC.
time_point utc(const char* text) {
    std::tm parts{};
    if (!::strptime(text, "%Y-%m-%d %H:%M:%S", &parts)) throw std::invalid_argument(text);
    return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string text_of(time_point t, bool local) {
    const std::time_t at = std::chrono::system_clock::to_time_t(t);
    std::tm parts{};
    if (local)
        ::localtime_r(&at, &parts);
    else
        ::gmtime_r(&at, &parts);
    char buffer[64];
    const std::size_t n = std::strftime(buffer, sizeof buffer, local ? "%m-%d %H:%M %Z" : "%Y-%m-%d %H:%M:%S", &parts);
    return std::string(buffer, n);
}

/// The first `count` times after `from`, in UTC.
std::string after(const char* expression, const char* from, int count = 1) {
    const cron_schedule s(expression, cron_zone::utc);
    std::string all;
    time_point t = utc(from);
    for (int i = 0; i < count; ++i) {
        t = s.next_after(t);
        all += (i ? ", " : "") + text_of(t, false);
    }
    return all;
}

/// The first `count` times after `from` (UTC), as the clocks in Berlin show them.
std::string in_berlin(const char* expression, const char* from, int count) {
    const in_zone zone(berlin);
    const cron_schedule s(expression);
    std::string all;
    time_point t = utc(from);
    for (int i = 0; i < count; ++i) {
        t = s.next_after(t);
        all += (i ? ", " : "") + text_of(t, true);
    }
    return all;
}

std::string refusal(const char* expression) {
    return words::of_call([&] { return cron_schedule(expression); });
}

} // namespace

TEST_CASE("cron: values, lists, ranges and steps") {
    CHECK(after("*/5 * * * *", "2026-01-01 00:00:00", 3) ==
          "2026-01-01 00:05:00, 2026-01-01 00:10:00, 2026-01-01 00:15:00");
    CHECK(after("7 * * * *", "2026-01-01 00:07:00") == "2026-01-01 01:07:00");
    CHECK(after("0,30 9-11 * * *", "2026-01-01 10:15:00", 4) ==
          "2026-01-01 10:30:00, 2026-01-01 11:00:00, 2026-01-01 11:30:00, 2026-01-02 09:00:00");
    CHECK(after("10-30/10 8 * * *", "2026-01-01 00:00:00", 4) ==
          "2026-01-01 08:10:00, 2026-01-01 08:20:00, 2026-01-01 08:30:00, 2026-01-02 08:10:00");
    CHECK(after("50/5 0 * * *", "2026-01-01 00:00:00", 3) ==
          "2026-01-01 00:50:00, 2026-01-01 00:55:00, 2026-01-02 00:50:00");
    CHECK(after("0 */8 * * *", "2026-01-01 00:00:00", 3) ==
          "2026-01-01 08:00:00, 2026-01-01 16:00:00, 2026-01-02 00:00:00");
    CHECK(after("\t0  12\t* * * ", "2026-01-01 00:00:00") == "2026-01-01 12:00:00");
}

TEST_CASE("cron: seconds come first if there are six fields") {
    CHECK(after("*/20 * * * * *", "2026-01-01 00:00:00", 3) ==
          "2026-01-01 00:00:20, 2026-01-01 00:00:40, 2026-01-01 00:01:00");
    CHECK(after("59 59 23 31 12 *", "2026-12-31 23:59:59") == "2027-12-31 23:59:59");
}

TEST_CASE("cron: the next time is after the given one, on a full second") {
    const cron_schedule s("* * * * *", cron_zone::utc);
    const time_point noon = utc("2026-01-01 12:00:00");
    CHECK(s.next_after(noon) == noon + 1min);
    CHECK(s.next_after(noon - 1ms) == noon);
    CHECK(s.next_after(noon + 1ms) == noon + 1min);
    CHECK(s.next_after(utc("1969-12-31 23:59:30")) == time_point{});
    CHECK(s.next_after(time_point::max()) == time_point::max());
}

TEST_CASE("cron: months and weekdays have names; 0 and 7 are Sunday") {
    CHECK(after("0 0 1 feb,DEC *", "2026-01-01 00:00:00", 3) ==
          "2026-02-01 00:00:00, 2026-12-01 00:00:00, 2027-02-01 00:00:00");
    CHECK(after("0 0 * * 0", "2026-01-01 00:00:00") == "2026-01-04 00:00:00");
    CHECK(after("0 0 * * 7", "2026-01-01 00:00:00") == "2026-01-04 00:00:00");
    CHECK(after("0 0 * * Mon-Fri", "2026-01-02 00:00:00", 2) == "2026-01-05 00:00:00, 2026-01-06 00:00:00");
    CHECK(after("0 0 * * fri-sun", "2026-01-01 00:00:00", 4) ==
          "2026-01-02 00:00:00, 2026-01-03 00:00:00, 2026-01-04 00:00:00, 2026-01-09 00:00:00");
    CHECK(after("0 0 * * 5-7", "2026-01-03 00:00:00") == "2026-01-04 00:00:00");
    CHECK(after("0 0 * * */2", "2026-01-04 00:00:00", 3) ==
          "2026-01-06 00:00:00, 2026-01-08 00:00:00, 2026-01-10 00:00:00");
}

TEST_CASE("cron: two restricted day fields take a day that matches either") {
    CHECK(after("0 0 13 * fri", "2026-01-01 00:00:00", 4) ==
          "2026-01-02 00:00:00, 2026-01-09 00:00:00, 2026-01-13 00:00:00, 2026-01-16 00:00:00");
    CHECK(after("0 0 */2 * sun", "2026-01-01 00:00:00", 2) == "2026-01-11 00:00:00, 2026-01-25 00:00:00");
    CHECK(after("0 0 30 2 mon", "2026-01-01 00:00:00") == "2026-02-02 00:00:00");
}

TEST_CASE("cron: leap days, however far away") {
    CHECK(after("0 0 29 2 *", "2026-01-01 00:00:00", 2) == "2028-02-29 00:00:00, 2032-02-29 00:00:00");
    CHECK(after("0 0 29 2 */7", "2026-01-01 00:00:00") == "2032-02-29 00:00:00");
    CHECK(after("0 0 29 2 *", "2097-01-01 00:00:00") == "2104-02-29 00:00:00");
    CHECK(after("0 0 31 * *", "2026-01-31 00:00:00", 2) == "2026-03-31 00:00:00, 2026-05-31 00:00:00");
}

TEST_CASE("cron: names for whole expressions") {
    CHECK(after("@yearly", "2026-01-01 00:00:00") == "2027-01-01 00:00:00");
    CHECK(after("@Annually", "2026-01-01 00:00:00") == "2027-01-01 00:00:00");
    CHECK(after("@monthly", "2026-01-01 00:00:00") == "2026-02-01 00:00:00");
    CHECK(after("@weekly", "2026-01-01 00:00:00") == "2026-01-04 00:00:00");
    CHECK(after("@daily", "2026-01-01 00:00:00") == "2026-01-02 00:00:00");
    CHECK(after("@midnight", "2026-01-01 00:00:00") == "2026-01-02 00:00:00");
    CHECK(after(" @hourly ", "2026-01-01 00:00:00") == "2026-01-01 01:00:00");
}

TEST_CASE("cron: what is wrong is said with the expression, the field and the reason") {
    CHECK(refusal("61 * * * *") == "cron \"61 * * * *\": minute field \"61\": 61 is not in 0-59");
    CHECK(refusal("* 24 * * *") == "cron \"* 24 * * *\": hour field \"24\": 24 is not in 0-23");
    CHECK(refusal("* * 0 * *") == "cron \"* * 0 * *\": day field \"0\": 0 is not in 1-31");
    CHECK(refusal("* * * 13 *") == "cron \"* * * 13 *\": month field \"13\": 13 is not in 1-12");
    CHECK(refusal("* * * * 8") == "cron \"* * * * 8\": weekday field \"8\": 8 is not in 0-7");
    CHECK(refusal("60 * * * * *") == "cron \"60 * * * * *\": second field \"60\": 60 is not in 0-59");
    CHECK(refusal("* * * foo *") == "cron \"* * * foo *\": month field \"foo\": \"foo\" is not a value");
    CHECK(refusal("1,,2 * * * *") == "cron \"1,,2 * * * *\": minute field \"1,,2\": a value is missing");
    CHECK(refusal("1- * * * *") == "cron \"1- * * * *\": minute field \"1-\": a value is missing");
    CHECK(refusal("-1 * * * *") == "cron \"-1 * * * *\": minute field \"-1\": a value is missing");
    CHECK(refusal("30-10 * * * *") == "cron \"30-10 * * * *\": minute field \"30-10\": the range 30-10 runs backwards");
    CHECK(refusal("*/0 * * * *") == "cron \"*/0 * * * *\": minute field \"*/0\": a step of 0 leads nowhere");
    CHECK(refusal("*/61 * * * *") ==
          "cron \"*/61 * * * *\": minute field \"*/61\": the step 61 is larger than the field");
    CHECK(refusal("*/ * * * *") == "cron \"*/ * * * *\": minute field \"*/\": a step is missing");
    CHECK(refusal("*/-2 * * * *") == "cron \"*/-2 * * * *\": minute field \"*/-2\": \"-2\" is not a step");
    CHECK(refusal("1x * * * *") == "cron \"1x * * * *\": minute field \"1x\": \"1x\" is not a value");
    CHECK(refusal("99999999999 * * * *").find("99999999999 is too large") != std::string::npos);
    CHECK(
        refusal("* * *") ==
        "cron \"* * *\": it has 3 fields; expected are 5 (minute, hour, day, month, weekday), or 6 with seconds first");
    CHECK(refusal("").find("it has 0 fields") != std::string::npos);
    CHECK(refusal("@reboot") ==
          "cron \"@reboot\": there is no such name; there are @yearly, @annually, @monthly, @weekly, @daily, "
          "@midnight and @hourly");
    CHECK(words::throws<std::invalid_argument>([] { return cron_schedule("? * * * *"); }));
}

TEST_CASE("cron: a date that no year has is refused") {
    CHECK(refusal("0 0 30 2 *") == "cron \"0 0 30 2 *\": no month of it has such a day");
    CHECK(refusal("0 0 31 4,6,9,11 *") == "cron \"0 0 31 4,6,9,11 *\": no month of it has such a day");
    CHECK(refusal("0 0 29 2 *") == "ok");
    CHECK(refusal("0 0 31 4,5 *") == "ok");
}

TEST_CASE("cron: in local time an hour is that of the zone") {
    CHECK(in_berlin("0 12 * * *", "2026-01-01 00:00:00", 1) == "01-01 12:00 CET");
    CHECK(in_berlin("0 12 * * *", "2026-07-01 00:00:00", 1) == "07-01 12:00 CEST");
    const in_zone zone(berlin);
    CHECK(text_of(cron_schedule("0 12 * * *").next_after(utc("2026-07-01 00:00:00")), false) == "2026-07-01 10:00:00");
    CHECK(text_of(cron_schedule("0 12 * * *", cron_zone::utc).next_after(utc("2026-07-01 00:00:00")), false) ==
          "2026-07-01 12:00:00");
}

// In 2026 the clocks in Berlin go from 02:00 to 03:00 on 29 March and from 03:00 back to 02:00 on 25 October, both at
// 01:00 UTC.
TEST_CASE("cron: a fixed time that does not exist is taken at the first moment after the gap, once") {
    CHECK(in_berlin("30 2 * * *", "2026-03-27 12:00:00", 3) == "03-28 02:30 CET, 03-29 03:00 CEST, 03-30 02:30 CEST");
    CHECK(in_berlin("0,15,30,45 2 * * *", "2026-03-28 12:00:00", 3) ==
          "03-29 03:00 CEST, 03-30 02:00 CEST, 03-30 02:15 CEST");
    CHECK(in_berlin("0,30 2,3 * * *", "2026-03-28 12:00:00", 3) ==
          "03-29 03:00 CEST, 03-29 03:30 CEST, 03-30 02:00 CEST");
    CHECK(in_berlin("*/10 2 * * *", "2026-03-28 12:00:00", 2) == "03-29 03:00 CEST, 03-30 02:00 CEST");
    CHECK(in_berlin("30 2 29 3 *", "2026-01-01 00:00:00", 1) == "03-29 03:00 CEST");
}

TEST_CASE("cron: an entry for every hour leaves out the times that do not exist") {
    CHECK(in_berlin("30 * * * *", "2026-03-29 00:00:00", 3) == "03-29 01:30 CET, 03-29 03:30 CEST, 03-29 04:30 CEST");
    CHECK(in_berlin("0 */2 * * *", "2026-03-28 22:30:00", 3) == "03-29 00:00 CET, 03-29 04:00 CEST, 03-29 06:00 CEST");
}

TEST_CASE("cron: a fixed time that comes twice is taken the first time") {
    CHECK(in_berlin("30 2 * * *", "2026-10-24 12:00:00", 2) == "10-25 02:30 CEST, 10-26 02:30 CET");
    CHECK(in_berlin("*/30 2 * * *", "2026-10-24 12:00:00", 3) == "10-25 02:00 CEST, 10-25 02:30 CEST, 10-26 02:00 CET");
    CHECK(in_berlin("0 3 * * *", "2026-10-24 12:00:00", 2) == "10-25 03:00 CET, 10-26 03:00 CET");
    CHECK(in_berlin("45 2 * * *", "2026-10-25 01:15:00", 1) == "10-26 02:45 CET"); // asked in the repeated hour
}

TEST_CASE("cron: an entry for every hour is taken each time the hour comes") {
    CHECK(in_berlin("30 * * * *", "2026-10-24 23:45:00", 4) ==
          "10-25 02:30 CEST, 10-25 02:30 CET, 10-25 03:30 CET, 10-25 04:30 CET");
    CHECK(in_berlin("*/30 * * * *", "2026-10-25 00:15:00", 4) ==
          "10-25 02:30 CEST, 10-25 02:00 CET, 10-25 02:30 CET, 10-25 03:00 CET");
}

TEST_CASE("cron: gaps at midnight and of half an hour") {
    {
        const in_zone zone("BRT3BRST,M10.3.0/0,M2.3.0/0"); // from 00:00 to 01:00 on the third Sunday in October
        CHECK(text_of(cron_schedule("0 0 * * *").next_after(utc("2026-10-17 12:00:00")), true) == "10-18 01:00 BRST");
        CHECK(text_of(cron_schedule("0 * * * sun").next_after(utc("2026-10-17 12:00:00")), true) == "10-18 01:00 BRST");
        CHECK(text_of(cron_schedule("59 23 * * sat").next_after(utc("2026-02-15 01:00:00")), true) ==
              "02-14 23:59 BRST");
        CHECK(text_of(cron_schedule("59 23 * * sat").next_after(utc("2026-02-15 02:00:00")), true) ==
              "02-21 23:59 BRT");
    }
    const in_zone zone("LHST-10:30LHDT-11,M10.1.0,M4.1.0"); // from 02:00 to 02:30, and back
    CHECK(text_of(cron_schedule("15 2 * * *").next_after(utc("2026-10-03 12:00:00")), true) == "10-04 02:30 LHDT");
    const cron_schedule quarter("*/15 * * * *");
    time_point t = utc("2026-04-04 14:40:00"); // 01:40 in summer time
    std::string all;
    for (int i = 0; i < 4; ++i) all += text_of(t = quarter.next_after(t), true) + ", ";
    CHECK(all == "04-05 01:45 LHDT, 04-05 01:30 LHST, 04-05 01:45 LHST, 04-05 02:00 LHST, ");
}

TEST_CASE("cron: the search finds what looking at every minute finds") {
    struct sample {
        const char* expression;
        bool (*matches)(const std::tm& t);
    };
    const in_zone zone(berlin);
    for (const sample& s : {sample{"*/7 * * * *", [](const std::tm& t) { return t.tm_min % 7 == 0; }},
                            sample{"3-50/9 */3 * * *",
                                   [](const std::tm& t) {
                                       return t.tm_min >= 3 && t.tm_min <= 50 && t.tm_min % 9 == 3 && t.tm_hour % 3 == 0;
                                   }},
                            sample{"0 * 25,29 * *",
                                   [](const std::tm& t) { return t.tm_min == 0 && (t.tm_mday == 25 || t.tm_mday == 29); }}}) {
        const cron_schedule schedule(s.expression);
        for (const char* const from : {"2026-03-28 20:00:00", "2026-10-24 20:00:00"}) {
            std::vector<time_point> found;
            for (time_point t = schedule.next_after(utc(from)); t <= utc(from) + 36h; t = schedule.next_after(t))
                found.push_back(t);
            std::vector<time_point> expected;
            for (time_point t = utc(from) + 1min; t <= utc(from) + 36h; t += 1min) {
                const std::time_t at = std::chrono::system_clock::to_time_t(t);
                std::tm parts{};
                ::localtime_r(&at, &parts);
                if (s.matches(parts)) expected.push_back(t);
            }
            CHECK(found == expected);
            CHECK(found.size() > 10);
        }
    }
}

EDDY_TEST("cron runs at the times of the calendar") {
    testing::set_wall_clock(utc("2026-01-01 00:02:30"));
    std::string log;
    auto job = cron(cron_schedule("*/5 * * * *", cron_zone::utc),
                    [&] { log += text_of(this_loop().wall_now(), false).substr(11, 5) + " "; });
    CHECK(job.next_run() == loop_clock::now() + 150s);
    CHECK(job.name() == "cron */5 * * * *");
    co_await sleep_for(15min);
    CHECK(log == "00:05 00:10 00:15 ");
    CHECK(job.runs() == 3);
    co_await job.cancel_and_join();
    CHECK_FALSE(job.next_run());
}

EDDY_TEST("cron takes an expression and a function that returns a task") {
    int runs = 0;
    auto c = cron("*/5 * * * *",
                  [&]() -> task<> {
                      ++runs;
                      co_await sleep_for(1s);
                  },
                  {.max_runs = 2});
    co_await c.join();
    CHECK(runs == 2);
    auto d = cron("@hourly", [&] { ++runs; });
    d.cancel();
    co_await d.join();
    CHECK(runs == 2);
}

EDDY_TEST("cron in local time runs through a change of the clocks") {
    const in_zone zone(berlin);
    testing::set_wall_clock(utc("2026-03-28 12:00:00"));
    std::string log;
    auto job = cron("30 2 * * *", [&] { log += text_of(this_loop().wall_now(), true) + ", "; });
    co_await sleep_for(48h);
    CHECK(log == "03-29 03:00 CEST, 03-30 02:30 CEST, ");
    co_await job.cancel_and_join();
}

EDDY_TEST("a wall clock that is set forward: one run for what was jumped over, within a minute") {
    testing::set_wall_clock(utc("2026-01-01 00:00:30"));
    std::string log;
    const auto note = [&] { log += text_of(this_loop().wall_now(), false).substr(11) + " "; };
    auto job = cron(cron_schedule("0 * * * *", cron_zone::utc), note);
    co_await sleep_for(10min);
    testing::set_wall_clock(utc("2026-01-01 05:10:30"));
    co_await sleep_for(1h);
    CHECK(log.size() == 18);
    CHECK(log.substr(0, 5) >= "05:10");
    CHECK(log.substr(0, 5) <= "05:11");
    CHECK(log.substr(9) == "06:00:00 ");
    co_await job.cancel_and_join();
}

EDDY_TEST("a wall clock that is set forward, with burst: a run for each time that was jumped over") {
    testing::set_wall_clock(utc("2026-01-01 00:00:30"));
    int runs = 0;
    auto job = cron(cron_schedule("0 * * * *", cron_zone::utc), [&] { ++runs; }, {.missed = missed_ticks::burst});
    co_await sleep_for(10min);
    testing::set_wall_clock(utc("2026-01-01 05:10:30"));
    co_await sleep_for(2min);
    CHECK(runs == 5);
    co_await job.cancel_and_join();
}

EDDY_TEST("a wall clock that is set back a little makes no time run twice") {
    testing::set_wall_clock(utc("2026-01-01 00:00:30"));
    int runs = 0;
    auto job = cron(cron_schedule("* * * * *", cron_zone::utc), [&] { ++runs; });
    co_await sleep_for(31s);
    CHECK(runs == 1);
    testing::set_wall_clock(utc("2026-01-01 00:00:50"));
    co_await sleep_for(60s);
    CHECK(runs == 1);
    co_await sleep_for(15s);
    CHECK(runs == 2);
    co_await job.cancel_and_join();
}

EDDY_TEST("a wall clock that is set back far starts the schedule over, within a minute") {
    testing::set_wall_clock(utc("2026-01-02 11:59:30"));
    std::string log;
    auto job = cron(cron_schedule("0 12 * * *", cron_zone::utc),
                    [&] { log += text_of(this_loop().wall_now(), false).substr(5, 11) + ", "; });
    co_await sleep_for(1h);
    testing::set_wall_clock(utc("2026-01-02 10:00:00"));
    co_await sleep_for(3h);
    CHECK(log == "01-02 12:00, 01-02 12:00, ");
    co_await job.cancel_and_join();
}

EDDY_TEST("a machine that slept makes up for it as the policy says") {
    testing::manual_clock clock;
    clock.set_wall(utc("2026-01-01 00:00:30"));
    int runs = 0;
    auto job = cron(cron_schedule("* * * * *", cron_zone::utc), [&] { ++runs; });
    co_await clock.advance(31s);
    CHECK(runs == 1);
    clock.hold(1h);
    co_await testing::settle();
    CHECK(runs == 2);
    CHECK(clock.wall_now() == utc("2026-01-01 01:01:01"));
    CHECK(*job.next_run() - clock.now() == 59s);
    co_await job.cancel_and_join();
}

EDDY_TEST("jitter, at_once and overlap are those of every") {
    testing::set_wall_clock(utc("2026-01-01 00:00:30"));
    std::string log;
    auto job = cron(cron_schedule("*/10 * * * *", cron_zone::utc),
                    [&]() -> task<> {
                        log += text_of(this_loop().wall_now(), false).substr(11, 5) + " ";
                        co_await sleep_for(15min);
                    },
                    {.overlap = overlap_policy::queue_one, .at_once = true});
    co_await sleep_for(32min);
    CHECK(log == "00:00 00:15 00:30 ");
    co_await job.cancel_and_join();
    auto late = cron(cron_schedule("*/10 * * * *", cron_zone::utc), [] {}, {.jitter = 5min, .max_runs = 1, .seed = 3});
    const auto due = *late.next_run();
    co_await late.join();
    const auto after_due = loop_clock::now() - due;
    CHECK((after_due > 1s && after_due <= 5min));
}

EDDY_TEST("cron refuses what it cannot read, before anything starts") {
    const auto bad = words::of_call([] { return cron("* * * *", [] {}); });
    CHECK(bad.find("cron \"* * * *\": it has 4 fields") == 0);
    const auto negative = words::of_call([] { return cron("* * * * *", [] {}, {.jitter = -1s}); });
    CHECK(negative == "cron: the jitter is negative");
    CHECK(this_loop().all_tasks().size() == 1);
    co_return;
}

EDDY_TEST("the wall clock of a test starts in 2026 and goes on with time") {
    const auto start = this_loop().wall_now();
    CHECK(text_of(start, false) == "2026-01-01 00:00:00");
    co_await sleep_for(36h);
    CHECK(this_loop().wall_now() - start == 36h);
    testing::set_wall_clock(utc("1999-12-31 23:59:59"));
    co_await sleep_for(1s);
    CHECK(text_of(this_loop().wall_now(), false) == "2000-01-01 00:00:00");
}

TEST_CASE("in real time the wall clock of a loop is the system's") {
    event_loop loop;
    const auto difference = loop.wall_now() - std::chrono::system_clock::now();
    CHECK((difference < 1s && difference > -1s));
}
