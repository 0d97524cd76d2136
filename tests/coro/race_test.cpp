#include <eddy/coro.hpp>
#include <eddy/event_loop.hpp>
#include <eddy/sleep.hpp>
#include <eddy/testing.hpp>
#include <eddy/timeout.hpp>

#include <memory>
#include <string>

#include "lib/tasks.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace std::chrono_literals;

namespace {

task<int> fails_in_cleanup() {
    try {
        co_await sleep_for(1h);
    } catch (const operation_cancelled&) {
        throw std::runtime_error("loser's");
    }
    co_return 0;
}

} // namespace

EDDY_TEST("RC-01 the first wins; the loser is cancelled and joined before the race returns") {
    const auto start = loop_clock::now();
    std::string log;
    auto won = co_await race(sleep_for(10ms), noting(log, "loser "));
    CHECK(won.index == 0);
    CHECK(won.get<0>().has_value());
    CHECK_FALSE(won.get<1>().has_value());
    CHECK(log == "loser ");
    CHECK(loop_clock::now() - start == 10ms);
}

EDDY_TEST("RC-03 a race returns after the loser's shielded cleanup") {
    const auto start = loop_clock::now();
    std::string log;
    const auto won = co_await race(give(10ms, 1), noting(log, "loser ", 30ms));
    CHECK(won.index == 0);
    CHECK(loop_clock::now() - start == 40ms);
}

EDDY_TEST("RC-04 if the first to end throws, the race throws it") {
    std::string log;
    const auto r = co_await as_result(race(noting(log, "loser "), fail_after<int>(10ms, "E")));
    CHECK(words::of(r) == "E");
    CHECK(log == "loser ");
}

EDDY_TEST("RC-04 a value that was on its way when another member failed wins, and the error is reported", "[fifo]") {
    const words::reports reports;
    const auto won = co_await race(fail_after<int>(10ms, "E"), give(10ms, 4));
    CHECK(won.index == 1);
    CHECK(won.get<1>() == 4);
    CHECK(reports.count() == 1);
    CHECK(reports.text().find(": E") != std::string::npos);
}

EDDY_TEST("RC-04 so does one inside another race") {
    const words::reports reports;
    queue<int> q(1);
    this_loop().call_later(10ms, [&] { q.try_push(4); });
    const auto won = co_await race(fail_after<int>(10ms, "E"), race(q.pop(), sleep_for(1h)));
    CHECK(q.empty());
    CHECK(won.index == 1);
    CHECK(won.get<1>()->get<0>() == 4);
}

EDDY_TEST("RC-04 a value that comes long after the error does not win") {
    const words::reports reports;
    const auto start = loop_clock::now();
    auto shielded_one = []() -> task<int> {
        co_await with_shield([]() -> task<> { co_await sleep_for(40ms); });
        co_return 7;
    };
    const auto r = co_await as_result(race(fail_after<int>(10ms, "E"), shielded_one()));
    CHECK(words::of(r) == "E");
    CHECK(loop_clock::now() - start == 40ms);
    CHECK(reports.count() == 0);
}

EDDY_TEST("R10 members of a race that observe one failing task give its error once") {
    const words::reports reports;
    auto h = spawn(fail_after<int>(1ms, "E"));
    const auto r = co_await as_result(race(h, h));
    CHECK(words::of(r) == "E");
    CHECK(reports.count() == 0);
}

EDDY_TEST("RC-04 a member that had a timeout of its own before counts like any other", "[fifo]") {
    const words::reports reports;
    const auto end = loop_clock::now() + 10ms;
    auto patient = [&]() -> task<int> {
        co_await move_on_after(1ms, [](cancel_scope&) -> task<> { co_await sleep_for(1h); });
        co_await sleep_until(end);
        co_return 4;
    };
    const auto won = co_await race(fail_after<int>(10ms, "E"), patient());
    CHECK(won.index == 1);
    CHECK(won.get<1>() == 4);
}

EDDY_TEST("RC-04 a loser's error goes to the exception handler") {
    const words::reports reports;
    const auto won = co_await race(fails_in_cleanup(), give(10ms, 4));
    CHECK(won.index == 1);
    CHECK(reports.count() == 1);
    CHECK(reports.text().find("loser's") != std::string::npos);
}

EDDY_TEST("members that end in one tick are ordered by their argument position") {
    const auto a = co_await race(give(10ms, 1), give(10ms, 2));
    const auto b = co_await race(stubborn(0), give(10ms, 2), give(10ms, 3));
    CHECK(a.index == 0);
    CHECK(b.index == 1);
    CHECK(b.get<2>() == 3);
}

EDDY_TEST("nothing is lost: a loser that still finished with a value is in the result") {
    auto won = co_await race(give(10ms, 1), stubborn(9));
    CHECK(won.index == 0);
    CHECK(won.get<0>() == 1);
    CHECK(won.get<1>() == 9);
}

EDDY_TEST("RC-05 a race that is cancelled cancels and joins everybody, and is cancelled") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        co_await race(noting(log, "a ", 5ms), noting(log, "b "));
        log += "not reached";
    });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK((log == "a b " || log == "b a "));
    CHECK(h.cancelled());
}

EDDY_TEST("RC-05 a member that yields a value while the race is cancelled: the race returns it, the next checkpoint throws") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        auto won = co_await race(sleep_for(1h), stubborn(7));
        log += std::to_string(won.index) + std::to_string(won.get<1>().value_or(0)) + " ";
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await testing::settle();
    co_await h.cancel_and_join();
    CHECK(log == "17 ");
    CHECK(h.cancelled());
}

EDDY_TEST("RC-05 a cancellation that comes while losers are joined waits for the next checkpoint") {
    std::string log;
    auto h = spawn([&]() -> task<> {
        auto won = co_await race(give(10ms, 1), noting(log, "loser ", 30ms));
        log += std::to_string(won.index) + " ";
        co_await this_task::checkpoint();
        log += "not reached";
    });
    co_await sleep_for(20ms);
    h.cancel();
    co_await h.join();
    CHECK(log == "loser 0 ");
    CHECK(h.cancelled());
}

EDDY_TEST("RC-07 handles are only observed: a losing one goes on running") {
    auto observed = spawn(give(1s, 8));
    std::string log;
    const auto won = co_await race(give(10ms, 1), observed, noting(log, "owned "));
    CHECK(won.index == 0);
    CHECK(log == "owned ");
    CHECK_FALSE(observed.done());
    const int v = co_await observed;
    CHECK(v == 8);
}

EDDY_TEST("a race over queues loses no item, whatever comes when") {
    queue<int> a(10);
    queue<int> b(10);
    int got = 0;
    this_loop().call_later(1ms, [&] {
        a.try_push(1);
        b.try_push(2);
    });
    auto won = co_await race(a.pop(), b.pop());
    got += won.get<0>().has_value() ? 1 : 0;
    got += won.get<1>().has_value() ? 1 : 0;
    CHECK(static_cast<std::size_t>(got) + a.size() + b.size() == 2);
}

EDDY_TEST("R3 in a scope that is cancelled already no member of a race is started") {
    bool started = false;
    auto body = [&]() -> task<> {
        started = true;
        co_return;
    };
    auto h = spawn([&]() -> task<> {
        this_task::handle().cancel();
        co_await race(body(), sleep_for(1s));
    });
    co_await h.join();
    CHECK(h.cancelled());
    CHECK_FALSE(started);
}

EDDY_TEST("a member that somebody else cancelled first makes the race throw child_cancelled") {
    auto victim = spawn(give(1h, 1), {.name = "victim"});
    co_await testing::settle();
    this_loop().call_later(1ms, [&] { victim.cancel(); });
    const auto r = co_await as_result(race(victim, sleep_for(1s)));
    CHECK(words::of(r) == "task 'victim' was cancelled");
    co_await this_task::checkpoint();
}

EDDY_TEST("races nest") {
    const auto start = loop_clock::now();
    const auto won = co_await race(race(give(30ms, 1), give(20ms, 2)), sleep_for(1h));
    CHECK(won.index == 0);
    CHECK(won.get<0>()->index == 1);
    CHECK(loop_clock::now() - start == 20ms);
}

EDDY_TEST("RC-04 race_first_success goes on after a failure; what failed is in the result") {
    const auto start = loop_clock::now();
    std::string log;
    auto won = co_await race_first_success(fail_after<int>(1ms, "first"), give(10ms, 2), noting(log, "loser "));
    CHECK(won.index == 1);
    CHECK(*won.get<1>() == 2);
    CHECK_FALSE(won.get<0>().has_value());
    CHECK(won.errors.size() == 1);
    CHECK(eddy::detail::describe(won.errors.front()) == "first");
    CHECK(log == "loser ");
    CHECK(loop_clock::now() - start == 10ms);
}

EDDY_TEST("RC-04 race_first_success: if all fail, all errors in a group, in the order they came") {
    std::string text;
    auto cancelled = spawn(give(1h, 1));
    this_loop().call_later(5ms, [&] { cancelled.cancel("by somebody"); });
    try {
        co_await race_first_success(fail_after<int>(20ms, "late"), fail_after<int>(1ms, "early"), cancelled);
    } catch (const exception_group& e) {
        for (const auto& p : e.errors()) text += eddy::detail::describe(p) + "; ";
    }
    CHECK(text.find("early; ") == 0);
    CHECK(text.find("was cancelled") != std::string::npos);
    CHECK(text.find("late; ") == text.size() - 6);
}

EDDY_TEST("race_first_success: cancelled before there is a winner, it cancels and joins all, and reports what failed") {
    std::vector<std::string> reports;
    this_loop().set_exception_handler([&](const error_context& e) { reports.push_back(eddy::detail::describe(e.exception)); });
    std::string log;
    auto h = spawn([&]() -> task<> { co_await race_first_success(fail_after<int>(1ms, "first"), noting(log, "a ", 20ms)); });
    co_await sleep_for(5ms);
    CHECK(reports.empty());
    co_await h.cancel_and_join();
    this_loop().set_exception_handler({});
    CHECK(h.cancelled());
    CHECK(log == "a ");
    CHECK(reports.size() == 1);
    CHECK(reports.front() == "first");
}
