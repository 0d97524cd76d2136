#include <eddy/runtime.hpp>
#include <eddy/testing.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

/// Notes when things happen, in seconds since it was made.
class journal {
public:
    void note(const char* what = "") {
        log_ += what +
                std::to_string(std::chrono::duration_cast<std::chrono::seconds>(loop_clock::now() - start_).count()) +
                " ";
    }
    [[nodiscard]] const std::string& text() const noexcept { return log_; }

private:
    loop_clock::time_point start_ = loop_clock::now();
    std::string log_;
};

} // namespace

EDDY_TEST("every runs at a fixed rate, first after one period") {
    journal j;
    auto job = every(5s, [&]() -> task<> {
        j.note();
        co_return;
    });
    co_await sleep_for(21s);
    job.cancel();
    co_await job.join();
    CHECK(j.text() == "5 10 15 20 ");
    CHECK(job.runs() == 4);
    CHECK(job.done());
    CHECK(job.cancelled());
}

EDDY_TEST("what a run takes does not move the ticks") {
    journal j;
    auto job = every(5s, [&]() -> task<> {
        j.note();
        co_await sleep_for(3s);
    });
    co_await sleep_for(21s);
    CHECK(j.text() == "5 10 15 20 ");
    co_await job.cancel_and_join();
}

EDDY_TEST("a plain function, a function that returns something else, and an awaitable will do") {
    int plain = 0, value = 0, calls = 0;
    auto a = every(1s, [&] { ++plain; });
    auto b = every(1s, [&]() -> task<int> { co_return ++value; });
    auto c = every(1s, [&] {
        ++calls;
        return sleep_for(1ms);
    });
    co_await sleep_for(3500ms);
    CHECK(plain == 3);
    CHECK(value == 3);
    CHECK(calls == 3);
}

EDDY_TEST("the function lives as long as the job, not as its handles") {
    auto owned = std::make_shared<int>(0);
    const std::weak_ptr<int> watch = owned;
    auto job = every(1s, [owned = std::move(owned)]() -> task<> {
        ++*owned;
        co_await sleep_for(1ms);
    });
    const auto copy = job;
    job = {};
    co_await sleep_for(2500ms);
    CHECK((watch.lock() && *watch.lock() == 2));
    CHECK(copy.runs() == 2);
    co_await copy.cancel_and_join();
    CHECK(watch.expired());
    CHECK(copy.runs() == 2);
}

EDDY_TEST("dropping the handle does not cancel") {
    int runs = 0;
    static_cast<void>(every(1s, [&] { ++runs; }));
    co_await sleep_for(3500ms);
    CHECK(runs == 3);
}

EDDY_TEST("at_once runs now and then at the ticks") {
    journal j;
    auto job = every(5s, [&] { j.note(); }, {.at_once = true});
    CHECK(job.next_run() == loop_clock::now());
    co_await sleep_for(11s);
    CHECK(j.text() == "0 5 10 ");
    co_await job.cancel_and_join();
}

EDDY_TEST("a job that is cancelled before it began runs nothing") {
    int runs = 0;
    auto job = every(5s, [&] { ++runs; }, {.at_once = true});
    job.cancel("changed my mind");
    co_await job.join();
    CHECK(runs == 0);
    CHECK(job.runs() == 0);
}

EDDY_TEST("overlap skip: ticks during a run are dropped") {
    journal j;
    auto job = every(2s, [&]() -> task<> {
        j.note("b");
        co_await sleep_for(5s);
        j.note("e");
    });
    co_await sleep_for(15500ms);
    CHECK(j.text() == "b2 e7 b8 e13 b14 ");
    CHECK(job.running() == 1);
    CHECK(job.skipped() == 4);
    co_await job.cancel_and_join();
    CHECK(job.running() == 0);
}

EDDY_TEST("overlap queue_one: one run follows, no more") {
    journal j;
    auto job = every(2s,
                     [&]() -> task<> {
                         j.note("b");
                         co_await sleep_for(5s);
                         j.note("e");
                     },
                     {.overlap = overlap_policy::queue_one, .max_runs = 3});
    co_await job.join();
    CHECK(j.text() == "b2 e7 b7 e12 b12 e17 ");
    CHECK(job.runs() == 3);
}

EDDY_TEST("overlap concurrent: runs stand beside each other, and cancel ends them all") {
    int ended = 0;
    auto job = every(2s,
                     [&]() -> task<> {
                         try {
                             co_await sleep_for(5s);
                         } catch (const operation_cancelled&) {
                             ++ended;
                             throw;
                         }
                     },
                     {.overlap = overlap_policy::concurrent});
    co_await sleep_for(6500ms);
    CHECK(job.running() == 3);
    co_await job.cancel_and_join();
    CHECK(ended == 3);
    CHECK(job.running() == 0);
}

EDDY_TEST("missed skip: one run for all, and the grid stays") {
    testing::manual_clock clock;
    journal j;
    auto job = every(10s, [&] { j.note(); });
    co_await clock.advance(10s);
    clock.hold(35s);
    co_await testing::settle();
    co_await clock.advance(20s);
    CHECK(j.text() == "10 45 50 60 ");
    co_await job.cancel_and_join();
}

EDDY_TEST("missed burst: a run for each, one behind the other") {
    testing::manual_clock clock;
    journal j;
    auto job = every(10s,
                     [&]() -> task<> {
                         j.note("b");
                         co_await this_task::yield();
                         j.note("e");
                     },
                     {.missed = missed_ticks::burst});
    co_await clock.advance(10s);
    clock.hold(35s);
    co_await testing::settle();
    co_await clock.advance(10s);
    CHECK(j.text() == "b10 e10 b45 e45 b45 e45 b45 e45 b50 e50 ");
    CHECK(job.runs() == 5);
    co_await job.cancel_and_join();
}

EDDY_TEST("missed burst is bounded") {
    testing::manual_clock clock;
    int runs = 0;
    auto job = every(1ms, [&] { ++runs; }, {.missed = missed_ticks::burst, .max_burst = 7});
    co_await testing::settle();
    clock.hold(1h);
    co_await testing::settle();
    CHECK(runs == 7);
    CHECK(*job.next_run() > clock.now());
    co_await job.cancel_and_join();
}

EDDY_TEST("missed delay: the next is a whole period later") {
    testing::manual_clock clock;
    journal j;
    auto job = every(10s, [&] { j.note(); }, {.missed = missed_ticks::delay});
    co_await clock.advance(10s);
    clock.hold(35s);
    co_await testing::settle();
    co_await clock.advance(20s);
    CHECK(j.text() == "10 45 55 65 ");
    co_await job.cancel_and_join();
}

EDDY_TEST("a tick that is late by less than a period is not missed") {
    testing::manual_clock clock;
    journal j;
    auto job = every(10s, [&] { j.note(); }, {.missed = missed_ticks::delay});
    co_await testing::settle();
    clock.hold(14s);
    co_await testing::settle();
    co_await clock.advance(6s);
    CHECK(j.text() == "14 20 ");
    co_await job.cancel_and_join();
}

EDDY_TEST("jitter delays each run within its bound and never adds up") {
    const auto start = loop_clock::now();
    std::vector<std::chrono::milliseconds> late;
    auto job = every(10s,
                     [&] {
                         const auto now = loop_clock::now() - start;
                         late.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(now % 10s));
                     },
                     {.jitter = 4s, .max_runs = 50, .seed = 1});
    co_await job.join();
    CHECK(late.size() == 50);
    CHECK((*std::min_element(late.begin(), late.end()) < 500ms));
    CHECK((*std::max_element(late.begin(), late.end()) > 3500ms));
    CHECK((*std::max_element(late.begin(), late.end()) <= 4s));
    CHECK(loop_clock::now() - start < 505s);
}

EDDY_TEST("max_runs ends the job by itself") {
    int runs = 0;
    auto job = every(1s, [&] { ++runs; }, {.max_runs = 3});
    co_await job.join();
    CHECK(runs == 3);
    CHECK(job.done());
    CHECK_FALSE(job.cancelled());
    CHECK_FALSE(job.next_run());
    CHECK_FALSE(job.stop());
}

EDDY_TEST("a run that fails is reported once and the job goes on") {
    std::string reports;
    this_loop().set_exception_handler([&](const error_context& e) {
        reports +=
            std::string(e.task_name) + ": " + std::string(e.message) + ": " + detail::describe(e.exception) + "\n";
    });
    int runs = 0;
    auto job = every(1s,
                     [&]() -> task<> {
                         if (++runs == 2) throw std::runtime_error("second");
                         co_return;
                     },
                     {.max_runs = 3, .name = "flaky"});
    co_await job.join();
    CHECK(runs == 3);
    CHECK(reports == "flaky: a run of a periodic job failed; the job goes on: second\n");
}

EDDY_TEST("on_error gets the error instead; one that throws is reported") {
    std::string reports, errors;
    this_loop().set_exception_handler([&](const error_context& e) { reports += detail::describe(e.exception); });
    auto fail = []() -> task<> {
        throw std::runtime_error("run");
        co_return;
    };
    auto job = every(1s, fail, {.max_runs = 2, .on_error = [&](const std::exception_ptr& e) {
                                    if (!errors.empty()) throw std::runtime_error("handler");
                                    errors += detail::describe(e);
                                }});
    co_await job.join();
    CHECK(errors == "run");
    CHECK(reports == "handler");
}

EDDY_TEST("stop lets the run in progress end, from outside and from inside") {
    journal j;
    auto job = every(2s,
                     [&]() -> task<> {
                         j.note("b");
                         co_await sleep_for(3s);
                         j.note("e");
                     },
                     {.overlap = overlap_policy::queue_one});
    co_await sleep_for(4500ms);
    const bool first = job.stop();
    CHECK(first);
    CHECK_FALSE(job.next_run());
    co_await job.join();
    CHECK(j.text() == "b2 e5 ");
    CHECK_FALSE(job.cancelled());

    int runs = 0;
    periodic_job inner;
    inner = every(1s, [&] {
        if (++runs == 4) inner.stop();
    });
    co_await inner.join();
    CHECK(runs == 4);
}

EDDY_TEST("a job can be cancelled from its own run") {
    periodic_job job;
    bool went_on = false;
    job = every(1s, [&]() -> task<> {
        job.cancel();
        co_await sleep_for(1ms);
        went_on = true;
    });
    co_await job.join();
    CHECK(job.runs() == 1);
    CHECK_FALSE(went_on);
}

EDDY_TEST("a run that ends itself cancelled does not end the job") {
    int runs = 0;
    auto job = every(1s,
                     [&]() -> task<> {
                         ++runs;
                         this_task::handle().cancel();
                         co_await sleep_for(1h);
                     },
                     {.max_runs = 3});
    co_await job.join();
    CHECK(runs == 3);
    CHECK(job.running() == 0);
}

EDDY_TEST("cancelled in the tick of a run the run starts and ends at its first checkpoint") {
    int begun = 0, ended = 0;
    auto job = every(1s, [&]() -> task<> {
        ++begun;
        co_await sleep_for(1ms);
        ++ended;
    });
    this_loop().call_later(1s, [&] { job.cancel(); });
    co_await job.join();
    CHECK(begun == static_cast<int>(job.runs()));
    CHECK(ended == 0);
}

EDDY_TEST("cancelling a join leaves the job alone") {
    int runs = 0;
    auto job = every(1s, [&] { ++runs; });
    const bool joined = co_await move_on_after(2500ms, [&](cancel_scope&) -> task<> { co_await job.join(); });
    CHECK_FALSE(joined);
    co_await sleep_for(1s);
    CHECK(runs == 3);
}

EDDY_TEST("a shielded run is joined by cancel_and_join") {
    bool saved = false;
    auto job = every(1s, [&]() -> task<> {
        co_await with_shield([&]() -> task<> {
            co_await sleep_for(10s);
            saved = true;
        });
    });
    co_await sleep_for(1500ms);
    co_await job.cancel_and_join();
    CHECK(saved);
}

EDDY_TEST("next_run says when; names show in task lists") {
    const auto start = loop_clock::now();
    auto job = every(5s, [&]() -> task<> { co_await sleep_for(1s); }, {.name = "beat"});
    CHECK(job.next_run() == start + 5s);
    CHECK(job.name() == "beat");
    co_await sleep_for(5500ms);
    CHECK(job.next_run() == start + 10s);
    std::size_t named = 0;
    for (const any_task& t : this_loop().all_tasks()) named += t.name() == "beat";
    CHECK(named == 2);
    co_await job.cancel_and_join();
    CHECK_FALSE(job.next_run());
}

EDDY_TEST("periods and jitters that make no sense are refused") {
    const auto nothing = [] {};
    const auto zero = words::of_call([&] { return every(0s, nothing); });
    const auto negative = words::of_call([&] { return every(-1s, nothing); });
    const auto wide = words::of_call([&] { return every(1s, nothing, {.jitter = 1s}); });
    CHECK(zero == "every: the period has to be positive");
    CHECK(negative == "every: the period has to be positive");
    CHECK(wide == "every: the jitter has to be less than the period");
    CHECK(words::of_call([] { return periodic_job().runs(); }) == "this periodic_job is empty");
    co_return;
}

TEST_CASE("every without a loop says so") {
    CHECK(words::of_call([] { return every(1s, [] {}); }).find("every") == 0);
}

TEST_CASE("run ends by cancelling the jobs that are left") {
    int runs = 0;
    detail::virtual_clock clock;
    run(
        [](int& n) -> task<> {
            static_cast<void>(every(1s, [&n] { ++n; }));
            co_await sleep_for(2500ms);
        }(runs),
        {.clock = &clock});
    CHECK(runs == 2);
}

EDDY_TEST("every refuses NaN as its period") {
    const std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
    const auto run = []() -> task<> { co_return; };
    CHECK(words::throws<std::invalid_argument>([&] { return every(nan, run); }));
    CHECK(this_loop().all_tasks().size() == 1);
    co_return;
}
